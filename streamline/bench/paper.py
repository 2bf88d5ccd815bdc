"""Table 9 of FRE's paper on this computer: how fast FRE learns, and how fast it judges."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Final, Literal

from streamline.backbone import describe, load_zoo
from streamline.bench.apart import Apart
from streamline.bench.limit import Trial, layouts, survey
from streamline.bench.model import Tell, best_of
from streamline.bench.processor import QUIET, OtherWork
from streamline.bench.published import PublishedSpeeds, published_speeds
from streamline.config import parse_source
from streamline.errors import InputError
from streamline.infer import Compute
from streamline.learn import FitSettings, Precision, Selection, fit_frames
from streamline.learn.select import SelectedFrames
from streamline.machine import Machine, this_machine
from streamline.model import save_model

__all__ = ["LayerFigures", "PaperBench", "PaperPlan", "Pick", "bench_paper", "write_weights"]

RANK: Final = 200
"""Directions of the head that is timed: more than 0.97 of the variance takes, whatever the
weights."""

_RETAIN: Final = 0.97
"""Of the variance, by an autoencoder: with `RANK` units there would be nothing left to learn."""

_BATCHES: Final = (1, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperPlan:
    """What is measured."""

    network: str = "resnet50"
    layers: tuple[str, ...] = ("layer2", "layer3")
    """The paper's single layer, and the one after it: its table names none."""

    precisions: tuple[Precision, ...] = ("f32",)
    """Of the network; each is measured."""

    images: Path | None = None
    """Folder of images to learn from; None: rendered ones."""

    frames: int = 209
    """To learn from: as many as MVTec AD's bottle has."""

    rounds: int = 3
    """Each fit, and each trial of judging, so many times, all in turn; medians count."""

    seconds: float = 2.0
    """Of each trial of judging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFigures:
    """What FRE does with one layer."""

    layer: str
    precision: str
    """Of the network."""

    features: int
    rank: int
    pca_s: float
    """From the first frame, decoded, to the calibrated model; likewise `aet_s`, s."""

    aet_rank: int
    aet_s: float
    fps: float
    """Of the best setting, frames from memory."""

    cpu_ms_per_frame: float
    best: Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperBench:
    """What was measured here, beside what the paper printed."""

    network: str
    weights: Literal["random"]
    """What speed does not depend on."""

    images: str
    """What the frames show."""

    frames: int
    rounds: int
    layers: Sequence[LayerFigures]
    published: PublishedSpeeds
    others: float
    """Share of the processors that other work took."""

    quiet: bool
    """Whether that was little enough for the figures to count."""

    machine: Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """One row to be measured."""

    layer: str
    precision: Precision

    def settings(self, network: str, weights: Path) -> FitSettings:
        """Return what FRE is fitted with, but for the way of learning."""
        return FitSettings(
            backbone=network,
            weights=weights,
            precision=self.precision,
            score_layers=(self.layer,),
            map_layers=(self.layer,),
            compute=self.compute,
        )

    @property
    def compute(self) -> Compute:
        """Return what it is computed with: arithmetic in f32 only where that is asked for."""
        return Compute(precision="f32" if self.precision == "f32" else "auto")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What learning came to."""

    seconds: float
    rank: int
    features: int


def bench_paper(plan: PaperPlan, /, *, tell: Tell) -> PaperBench:
    """Measure FRE on a network with random weights, in a process of its own.

    Raises
    ------
    InputError
        If the images are too few.
    ModelError
        If torch or a precision is missing.
    """
    _require_images(plan)
    picks = [Pick(layer=one, precision=two) for two, one in product(plan.precisions, plan.layers)]
    with (
        tempfile.TemporaryDirectory(prefix="streamline-bench-") as scratch,
        Apart() as process,
        OtherWork() as others,
    ):
        bench = _Measured(process, Path(scratch), plan, tell)
        process.call(write_weights, plan.network, bench.weights)
        for pick in picks:
            bench.prepare(pick)
        fits = [
            {pick: bench.fits(pick, f"round {number}") for pick in picks}
            for number in range(1, plan.rounds + 1)
        ]
        figures = [_figures(pick, [one[pick] for one in fits], bench.trial(pick)) for pick in picks]
    return PaperBench(
        network=plan.network,
        weights="random",
        images="rendered parts" if plan.images is None else str(plan.images),
        frames=plan.frames,
        rounds=plan.rounds,
        layers=figures,
        published=published_speeds(),
        others=others.share,
        quiet=others.share <= QUIET,
        machine=this_machine(),
    )


def _figures(pick: Pick, fits: Sequence[tuple[Fit, Fit]], trial: Trial) -> LayerFigures:
    pca, aet = fits[0]
    return LayerFigures(
        layer=pick.layer,
        precision=pick.precision,
        features=pca.features,
        rank=pca.rank,
        pca_s=median(one.seconds for one, _ in fits),
        aet_rank=aet.rank,
        aet_s=median(one.seconds for _, one in fits),
        fps=trial.fps,
        cpu_ms_per_frame=trial.cpu_ms,
        best=trial,
    )


class _Measured:
    """Fits and trials in the measuring process."""

    def __init__(self, process: Apart, folder: Path, plan: PaperPlan, tell: Tell) -> None:
        self._process = process
        self._folder = folder
        self._plan = plan
        self._tell = tell

    @property
    def weights(self) -> Path:
        """Where the network's weights are put."""
        return self._folder / "weights.safetensors"

    def prepare(self, pick: Pick) -> None:
        """Export, quantise and compile what the fits need: they are timed without."""
        self._tell(f"{pick.layer}, {pick.precision}: the network is prepared")
        self._fit(pick, "fre-pca", min(self._plan.frames, 16))

    def fits(self, pick: Pick, when: str) -> tuple[Fit, Fit]:
        """Learn by principal directions and by a tied autoencoder."""
        self._tell(f"{pick.layer}, {pick.precision}, {when}: learning")
        aet = self._fit(pick, "fre-aet", self._plan.frames)
        return self._fit(pick, "fre-pca", self._plan.frames), aet

    def trial(self, pick: Pick) -> Trial:
        """Judge frames from memory with the model that was learnt last, in the best way."""
        self._tell(f"{pick.layer}, {pick.precision}: judging")
        trials: list[Trial] = []
        for layout in layouts(pick.compute, this_machine().cores):
            trials += self._process.call(
                survey,
                [self._path(pick)],
                layout,
                batches=_BATCHES,
                rounds=self._plan.rounds,
                seconds=self._plan.seconds,
            )
        return best_of(trials)

    def _fit(self, pick: Pick, method: Literal["fre-pca", "fre-aet"], frames: int) -> Fit:
        settings = pick.settings(self._plan.network, self.weights)
        if method == "fre-pca":
            settings = replace(settings, retain=1.0, max_rank=RANK, map_max_rank=RANK)
        else:
            settings = replace(settings, retain=_RETAIN, method=method, map_max_rank=None)
        return self._process.call(fit_once, settings, self._plan.images, frames, self._path(pick))

    def _path(self, pick: Pick) -> Path:
        return self._folder / f"{pick.layer}-{pick.precision}"


def _require_images(plan: PaperPlan) -> None:
    """Refuse now what would be refused after the network was prepared."""
    count = sum(1 for _ in _frames(plan.images, plan.frames))
    if count < plan.frames:
        msg = f"{plan.images} has {count} images, of {plan.frames} to learn from; name another"
        raise InputError(msg)


def write_weights(network: str, file: Path) -> None:
    """Write random weights of a network; for the measuring process."""
    load_zoo().write_untrained(describe(network), file)


def fit_once(settings: FitSettings, images: Path | None, frames: int, path: Path) -> Fit:
    """Learn a model from frames that are decoded already; for the measuring process."""
    seen = list(_frames(images, frames))
    fitted = fit_frames(seen, settings, source="frames for timing")
    save_model(fitted.model, path, replace=True)
    (layer,) = fitted.model.fre.score_layers.values()
    return Fit(
        seconds=fitted.report.seconds,
        rank=layer.subspace.rank,
        features=len(layer.subspace.mean),
    )


def _frames(images: Path | None, count: int) -> SelectedFrames:
    text = "demo://normal" if images is None else str(images.absolute())
    return SelectedFrames([parse_source(text, Path())], Selection(max_frames=count))
