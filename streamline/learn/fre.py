"""FRE's part of a fit: a subspace for each layer, and the scores of frames held out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from streamline.backbone import Backbone
from streamline.fre import (
    Span,
    SpanBuilder,
    Subspace,
    crossfit_errors,
    fuse_errors,
    smaller_shares,
    subspace_of,
)
from streamline.infer import Features
from streamline.learn.detector import FittedDetector
from streamline.learn.holdout import HoldOut
from streamline.learn.settings import FitSettings, Progress
from streamline.model import FittedLayer, FreDetector

__all__ = ["FreFit"]

_SPARE = 2
"""Once frames are merged, this many times the directions that may be wanted are gone on with:
those wanted come out as from all frames (see README.md)."""


class FreFit:
    """Takes the features of all frames in batches, in bounded memory, and fits to them."""

    def __init__(self, net: Backbone, settings: FitSettings) -> None:
        self._net = net
        self._settings = settings
        self._score = {
            name: _builder(settings, settings.max_rank) for name in settings.score_layers
        }
        self._map = {
            name: _builder(settings, settings.map_max_rank) for name in settings.map_layers
        }
        self.frames = 0

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
        count = len(self._score) + len(self._map)
        settings = self._settings
        shares = smaller_shares(settings.retain)
        score: dict[str, FittedLayer] = {}
        errors, warnings = [], []
        while self._score:
            name = next(iter(self._score))
            span = self._score.pop(name).finish(solver=settings.solver)
            score[name] = self._layer(name, span, settings.max_rank)
            errors.append(
                crossfit_errors(
                    span,
                    blocks=held.blocks,
                    gap=held.gap,
                    shares=shares,
                    max_rank=settings.max_rank,
                )
            )
            warnings += _shortage(name, score[name].subspace, settings)
            progress("layers", len(score), count)
        heldout = fuse_errors(errors)
        detector = FreDetector(
            score_layers=score,
            map_layers=self._map_layers(progress, count),
            retain=settings.retain,
            shares=tuple(shares),
            heldout=heldout.astype(np.float32),
        )
        return FittedDetector(detector=detector, scores=heldout[0], warnings=tuple(warnings))

    def _map_layers(self, progress: Progress, count: int) -> Mapping[str, FittedLayer]:
        layers: dict[str, FittedLayer] = {}
        while self._map:
            name = next(iter(self._map))
            span = self._map.pop(name).finish(solver=self._settings.solver)
            layers[name] = self._layer(name, span, self._settings.map_max_rank)
            progress("layers", count - len(self._map), count)
        return layers

    def _layer(self, name: str, span: Span, max_rank: int | None) -> FittedLayer:
        subspace = subspace_of(span, retain=self._settings.retain, max_rank=max_rank)
        layer = self._net.layers[name]
        return FittedLayer(
            subspace=replace(subspace, directions=subspace.directions.astype(np.float16)),
            shape=(layer.channels, layer.height, layer.width),
        )


def _builder(settings: FitSettings, max_rank: int | None) -> SpanBuilder:
    half = settings.hold // 2
    return SpanBuilder(rows=settings.hold, rank=min(half, _SPARE * (max_rank or half)))


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
