"""FRE's part of a fit: a subspace for each layer, and the scores of frames held out."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone
from streamline.fre import (
    Progressive,
    Span,
    SpanBuilder,
    Subspace,
    fuse_errors,
    rank_for,
    smaller_shares,
    subspace_of,
)
from streamline.infer import Features
from streamline.learn.algebra import algebra_of
from streamline.learn.detector import FittedDetector, Places
from streamline.learn.holdout import HoldOut, hold_out
from streamline.learn.settings import FitSettings
from streamline.learn.train import Rebuilder, heldout_errors, rebuilder_of, require_trainer
from streamline.model import FittedLayer, FreDetector, hide_cells
from streamline.progress import Progress

__all__ = ["FreFit"]

_SPARE = 2
"""Once frames are merged, this many times the directions that may be wanted are gone on with:
those wanted come out as from all frames (see README.md)."""


class FreFit:
    """Takes the features of all frames in batches, in bounded memory, and fits to them."""

    def __init__(self, net: Backbone, settings: FitSettings) -> None:
        require_trainer(settings)  # What is missing is told before the frames are read.
        self._net = net
        self._settings = settings
        # The same layers give the same features for both uses, and are decomposed once.
        self._shared = settings.score_layers == settings.map_layers
        rank = _larger(settings.max_rank, settings.map_max_rank if self._shared else 1)
        self._shares = smaller_shares(settings.retain)
        if settings.method != "fre-pca":
            del self._shares[1:]  # The units of an autoencoder are in no order.
        first = hold_out(settings.hold)
        self._gap = first.gap
        self._judged = {
            name: Progressive(
                blocks=len(first.blocks),
                gap=first.gap,
                shares=self._shares,
                max_rank=settings.max_rank,
            )
            for name in settings.score_layers
        }
        self._algebra = algebra_of(settings.compute)
        self._score = {
            name: self._builder(rank, judged, first.gap) for name, judged in self._judged.items()
        }
        self._map = {
            name: self._builder(settings.map_max_rank, None, 0)
            for name in (() if self._shared else settings.map_layers)
        }
        self._rebuilders: dict[str, dict[str, Rebuilder]] = {"score": {}, "map": {}}
        self._warnings: list[str] = []
        self.frames = 0

    def _builder(self, max_rank: int | None, judged: Progressive | None, gap: int) -> SpanBuilder:
        half = self._settings.hold // 2
        rank = min(half, _SPARE * (max_rank or half))
        return SpanBuilder(
            rows=self._settings.hold,
            rank=rank,
            held_out=judged,
            gap=min(gap, rank - 1),
            algebra=self._algebra,
        )

    def add(self, passes: Sequence[Features], /) -> None:
        """Take the features of a batch: for the score, and for the map."""
        score, maps = passes
        for name, builder in self._score.items():
            builder.add(score[name])
        for name, builder in self._map.items():
            builder.add(maps[name])
        self.frames = next(iter(self._score.values())).frames

    def finish(self, held: HoldOut, progress: Progress) -> FittedDetector:
        """Fit all layers, one after the other, and let go of their features.

        Raises
        ------
        ValueError
            If the frames do not differ, or hold values that are no finite numbers.
        """
        errors, places = [], []
        for name, span in self._spans(self._score, progress):
            merged = self._judged[name].runs
            held = HoldOut(blocks=merged, gap=self._gap) if merged else held
            watch = partial(_tell, progress, f"threshold of {name}", len(held.blocks))
            judged = self._judged[name].errors if merged else None
            errors.append(heldout_errors(span, self._settings, held, self._shares, watch, judged))
            places.append(Places.of(span))
            self._learn("score", name, span, progress)
            if self._shared:
                self._learn_map_too(name, span, progress)
        for name, span in self._spans(self._map, progress):
            self._learn("map", name, span, progress)
        return self._fitted(held, fuse_errors(errors), places[-1])

    def _spans(
        self, builders: dict[str, SpanBuilder], progress: Progress
    ) -> Iterator[tuple[str, Span]]:
        """Give one span after the other, and let go of it; tell when it is done with."""
        count = len(self._settings.score_layers) + len(self._settings.map_layers)
        while builders:
            name = next(iter(builders))
            yield name, builders.pop(name).finish(solver=self._settings.solver)
            progress("layers", sum(map(len, self._rebuilders.values())), count)

    def _learn_map_too(self, name: str, span: Span, progress: Progress) -> None:
        """Learn a layer's map after its score, from the same features."""
        settings, score = self._settings, self._rebuilders["score"][name]
        rank = rank_for(
            span.variances,
            retain=settings.retain,
            max_rank=settings.map_max_rank,
            discarded=span.discarded,
        )
        if rank == score.final.rank:
            self._rebuilders["map"][name] = score
        else:
            self._learn("map", name, span, progress)

    def _learn(self, use: str, name: str, span: Span, progress: Progress) -> None:
        settings = self._settings
        max_rank = settings.max_rank if use == "score" else settings.map_max_rank
        subspace = subspace_of(span, retain=settings.retain, max_rank=max_rank)
        epochs = settings.training.epochs
        rebuilder = rebuilder_of(
            span,
            subspace,
            settings,
            lambda epoch: progress(f"training of {name}", epoch.epoch, epochs),
        )
        self._rebuilders[use][name] = rebuilder
        if use == "score":
            self._warnings += _shortage(name, subspace, settings)
        self._warnings += _unfinished(name, rebuilder, settings)

    def _fitted(
        self, held: HoldOut, errors: npt.NDArray[np.float64], places: Places
    ) -> FittedDetector:
        trained = {**self._rebuilders["map"], **self._rebuilders["score"]}
        detector = FreDetector(
            score_layers=self._layers("score"),
            map_layers=self._layers("map"),
            retain=self._settings.retain,
            shares=tuple(self._shares),
            heldout=errors.astype(np.float32),
        )
        size = self._net.height, self._net.width
        return FittedDetector(
            detector=hide_cells(detector, self._settings.mask, size=size),
            scores=errors[0],
            held=held,
            places=places,
            training={name: one.curve for name, one in trained.items() if one.curve},
            warnings=tuple(self._warnings),
        )

    def _layers(self, use: str) -> dict[str, FittedLayer]:
        found = {}
        for name, rebuilder in self._rebuilders[use].items():
            layer = self._net.layer(name)
            found[name] = FittedLayer(
                subspace=rebuilder.final, shape=(layer.channels, layer.height, layer.width)
            )
        return found


def _tell(progress: Progress, what: str, total: int, done: int) -> None:
    progress(what, done, total)


def _larger(one: int | None, other: int | None) -> int | None:
    """Return the larger number of directions; None is any."""
    return None if one is None or other is None else max(one, other)


def _shortage(name: str, subspace: Subspace, settings: FitSettings) -> list[str]:
    """Say so where fewer directions were at hand than the share of variance needs."""
    short = subspace.rank == len(subspace.singular_values) and subspace.discarded > 0
    if not short or subspace.rank == settings.max_rank:
        return []
    warning = (
        f"{name} keeps {subspace.retained:.3f} of the variance, not {settings.retain:g}: no more "
        f"directions are at hand when {settings.hold} frames are held; hold more, or show fewer"
    )
    return [warning]


def _unfinished(name: str, rebuilder: Rebuilder, settings: FitSettings) -> list[str]:
    """Say so where a training ended before its error was as small as it should be."""
    training = settings.training
    if not rebuilder.curve or rebuilder.curve[-1].excess <= training.tolerance:
        return []
    warning = (
        f"{name} was trained for {training.epochs} epochs and its error is still "
        f"{rebuilder.curve[-1].excess:.1%} above that of principal directions; train for longer"
    )
    return [warning]
