"""Fit a model to prepared normal frames and calibrate it on the same frames, held out in turn."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from operator import length_hint
from time import monotonic

import numpy as np
import numpy.typing as npt

from streamline import backbone
from streamline.backbone import Backbone
from streamline.errors import InputError
from streamline.fre import (
    centred_gram,
    conformal_threshold,
    contiguous_blocks,
    crossfit_errors,
    decompose,
    effective_count,
    fit_subspace,
    fuse_errors,
    require_support,
    smallest_alpha,
)
from streamline.learn.features import Gathered, gather_features
from streamline.learn.noise import noise_distance
from streamline.learn.settings import FitReport, FitSettings, Fitted, Progress, ignore_progress
from streamline.learn.spread import Spread
from streamline.model import BackboneId, Calibration, FittedLayer, FreDetector, Model
from streamline.model.manifest import now
from streamline.preprocess import PREPROCESSING

__all__ = ["MIN_FRAMES", "fit_frames"]

Frame = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float32]

MIN_FRAMES = 8
"""With fewer there is nothing to hold out."""

_FEW_DISTINCT = 10.0
"""Fewer distinct frames than this, and the fit has seen one part, not the product."""

_BLOCKS = 10
"""Each held out in turn: nine tenths of the frames make nearly the final subspace."""

_NOISE_FRAMES = 8
"""Frames on which the effect of sensor noise is measured."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Layer:
    """A fitted layer, and what its frames' inner products were."""

    fitted: FittedLayer
    gram: npt.NDArray[np.float64]
    energy: float


def fit_frames(
    frames: Iterable[Frame],
    settings: FitSettings,
    /,
    *,
    source: str,
    progress: Progress = ignore_progress,
) -> Fitted:
    """Fit and calibrate a model.

    Memory: the features of all frames are held at once, 0.4 MB a frame with the default
    layers, and nothing else that grows with their number but ``(n, n)`` matrices.

    Parameters
    ----------
    frames : iterable of arrays of shape (height, width, 3)
        Prepared normal frames in order of time; not modified.
    source : str
        What they are, for the model's record; without credentials.

    Raises
    ------
    InputError
        If there are too few frames for a fit or for `settings.alpha`, or they do not differ.
    """
    started = monotonic()
    settings.require_valid()
    net = backbone.get(settings.backbone, settings.precision)
    few = Spread(_NOISE_FRAMES)
    watched = _watched(frames, few, progress)
    gathered = gather_features(
        net, settings.score_layers, settings.map_layers, watched, settings.compute
    )
    _require_enough(len(gathered.score[settings.score_layers[0]]), settings)
    try:
        noise = noise_distance(net, settings.score_layers[-1], few.frames, settings.compute)
        model = _fit_model(net, settings, gathered, noise=noise, progress=progress)
    except ValueError as exc:
        msg = f"no model can be fitted to {source}: {exc}"
        raise InputError(msg) from exc
    report = _report(model, settings, seconds=monotonic() - started)
    return Fitted(model=replace(model, source=source), report=report)


def _watched(frames: Iterable[Frame], few: Spread, progress: Progress) -> Iterator[Frame]:
    """Pass frames on, report them, and keep copies of a few."""
    for count, frame in enumerate(frames, start=1):
        progress("frames", count, length_hint(frames) or None)
        if few.wants():
            few.keep(frame.copy())
        yield frame


def _require_enough(n: int, settings: FitSettings) -> None:
    if n < MIN_FRAMES:
        msg = f"a fit needs at least {MIN_FRAMES} normal frames, got {n}; show it more"
        raise InputError(msg)
    if settings.alpha is not None:
        try:
            require_support(n, alpha=settings.alpha)
        except ValueError as exc:
            raise InputError(str(exc)) from exc


def _fit_model(
    net: Backbone, settings: FitSettings, gathered: Gathered, *, noise: float, progress: Progress
) -> Model:
    count = len(gathered.score) + len(gathered.map)
    score: dict[str, _Layer] = {}
    for name, matrix in gathered.score.items():
        score[name] = _fit_layer(net, name, matrix, settings.retain, settings.max_rank)
        progress("layers", len(score), count)
    maps: dict[str, FittedLayer] = {}
    for name, matrix in gathered.map.items():
        fitted = _fit_layer(net, name, matrix, settings.retain, settings.map_max_rank).fitted
        maps[name] = fitted
        progress("layers", len(score) + len(maps), count)
    return Model(
        backbone=BackboneId(net.name, net.precision, net.sha256),
        preprocessing=PREPROCESSING,
        height=net.height,
        width=net.width,
        detector=FreDetector(
            score_layers={name: layer.fitted for name, layer in score.items()},
            map_layers=maps,
            retain=settings.retain,
        ),
        calibration=_calibrate(score, settings, noise),
        source="",
        created=now(),
    )


def _fit_layer(
    net: Backbone, name: str, matrix: Matrix, retain: float, max_rank: int | None
) -> _Layer:
    gram, energy = centred_gram(matrix)
    spectrum = decompose(gram, energy=energy)
    subspace = fit_subspace(matrix, retain=retain, max_rank=max_rank, spectrum=spectrum)
    layer = net.layers[name]
    fitted = FittedLayer(
        subspace=replace(subspace, directions=subspace.directions.astype(np.float16)),
        shape=(layer.channels, layer.height, layer.width),
    )
    return _Layer(fitted=fitted, gram=gram, energy=energy)


def _calibrate(layers: Mapping[str, _Layer], settings: FitSettings, noise: float) -> Calibration:
    deepest = layers[settings.score_layers[-1]].gram
    n = len(deepest)
    blocks = contiguous_blocks(n, count=min(_BLOCKS, n // 2))
    gap = max(1, n // 50)
    heldout = partial(
        crossfit_errors, blocks=blocks, gap=gap, retain=settings.retain, max_rank=settings.max_rank
    )
    scores = fuse_errors([heldout(one.gram, energy=one.energy) for one in layers.values()])
    alpha = smallest_alpha(n) if settings.alpha is None else settings.alpha
    return Calibration(
        threshold=conformal_threshold(scores, alpha=alpha),
        alpha=alpha,
        scores=scores,
        effective_frames=effective_count(deepest, noise=noise),
        blocks=len(blocks),
        gap=gap,
    )


def _report(model: Model, settings: FitSettings, *, seconds: float) -> FitReport:
    calibration, detector = model.calibration, model.detector
    return FitReport(
        frames=calibration.frames,
        effective_frames=calibration.effective_frames,
        score_ranks={name: layer.subspace.rank for name, layer in detector.score_layers.items()},
        map_ranks={name: layer.subspace.rank for name, layer in detector.map_layers.items()},
        alpha=calibration.alpha,
        alpha_chosen=settings.alpha is None,
        threshold=calibration.threshold,
        seconds=seconds,
        warnings=_warnings(calibration),
    )


def _warnings(calibration: Calibration) -> tuple[str, ...]:
    if calibration.effective_frames >= _FEW_DISTINCT:
        return ()
    warning = (
        f"the {calibration.frames} frames amount to only {calibration.effective_frames:.1f} "
        "distinct ones, so the model knows little of what is normal and the false-alarm rate is "
        "not to be relied on; show it more products, for longer or with fewer frames a second"
    )
    return (warning,)
