"""Fit a model to prepared normal frames and calibrate it on the same frames, held out in turn."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import tee
from operator import length_hint
from time import monotonic

import numpy as np
import numpy.typing as npt

from streamline import backbone
from streamline.backbone import Backbone
from streamline.errors import InputError
from streamline.fre import (
    Spectrum,
    centred_gram,
    conformal_threshold,
    contiguous_blocks,
    crossfit_errors,
    decompose,
    effective_count,
    fit_subspace,
    fuse_errors,
    smallest_alpha,
)
from streamline.infer import Compute, extract_features
from streamline.learn.noise import noise_distance
from streamline.learn.spread import Spread
from streamline.model import BackboneId, Calibration, FittedLayer, Model
from streamline.model.manifest import now

__all__ = ["MIN_FRAMES", "FitReport", "FitSettings", "Fitted", "Progress", "fit_frames"]

Frame = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]
Matrices = Mapping[str, npt.NDArray[np.float32]]

Progress = Callable[[str, int, int | None], None]
"""Told what is done (``frames`` or ``layers``), how many are, and of how many if known."""

MIN_FRAMES = 8
"""With fewer there is nothing to hold out."""

_FEW_DISTINCT = 10.0
"""Fewer distinct frames than this, and the fit has seen one part, not the product."""

_BLOCKS = 10

_NOISE_FRAMES = 16
"""Frames on which the effect of sensor noise is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """What is fitted; one setting for every product."""

    preprocessing: str
    """Name of the function that prepared the frames."""

    backbone: str = "efficientnet_lite0"
    precision: str = "int8"
    """Of the backbone's stored weights."""

    score_layers: tuple[str, ...] = ("block4", "block5")
    """Whose errors are fused to the score."""

    map_layers: tuple[str, ...] = ("block2", "block3", "block4")
    """Whose errors are fused to the map."""

    retain: float = 0.97
    """Share of each layer's variance to keep, in (0, 1]."""

    max_rank: int | None = None
    """Most directions to keep in a layer."""

    alpha: float | None = None
    """False-alarm rate per frame; None: the smallest that the number of frames supports."""

    compute: Compute = Compute()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """What a fit chose, for people to read."""

    frames: int
    """Frames fitted to."""

    effective_frames: float
    """How many distinct ones those are."""

    ranks: Mapping[str, int]
    """Directions kept in each layer."""

    alpha: float
    """False-alarm rate per frame."""

    threshold: float
    """A frame fails if its score is above this."""

    seconds: float
    """Time from the first frame to the model, s."""

    warnings: tuple[str, ...]
    """Sentences on what is wrong with the frames."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """A model and how it came to be."""

    model: Model
    report: FitReport


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """One layer's frames, as far as later steps need them."""

    layer: FittedLayer
    gram: Doubles
    energy: float


def fit_frames(
    frames: Iterable[Frame],
    settings: FitSettings,
    /,
    *,
    source: str,
    progress: Progress = lambda _what, _done, _total: None,
) -> Fitted:
    """Fit and calibrate a model.

    Memory: the features of all frames are held at once, about 0.5 MB a frame with the default
    layers, and nothing else that grows with their number.

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
    net = backbone.get(settings.backbone, settings.precision)
    few = Spread(_NOISE_FRAMES)
    features = _gather(net, settings, _watched(frames, few, progress))
    try:
        seen = _fit_layers(net, settings, features, progress)
        noise = noise_distance(net, settings.score_layers[-1], few.frames, settings.compute)
        calibration = _calibrate(seen, settings, noise)
    except ValueError as exc:
        msg = f"no model can be fitted to {source}: {exc}"
        raise InputError(msg) from exc
    model = Model(
        backbone=BackboneId(net.name, net.precision, net.sha256),
        preprocessing=settings.preprocessing,
        height=net.height,
        width=net.width,
        score_layers=settings.score_layers,
        map_layers=settings.map_layers,
        layers={name: one.layer for name, one in seen.items()},
        retain=settings.retain,
        calibration=calibration,
        source=source,
        created=now(),
    )
    return Fitted(model=model, report=_report(model, monotonic() - started))


def _watched(frames: Iterable[Frame], few: Spread, progress: Progress) -> Iterator[Frame]:
    """Pass frames on, report them, and keep copies of a few."""
    for count, frame in enumerate(frames, start=1):
        progress("frames", count, length_hint(frames) or None)
        if few.wants():
            few.keep(frame.copy())
        yield frame


def _gather(net: Backbone, settings: FitSettings, frames: Iterator[Frame]) -> Matrices:
    """Compute all features, each layer's from the graph that will run.

    The score's graph taps the score's layers only. Asked for more outputs, an int8 graph is
    fused otherwise and rounds otherwise (0.3 % of a score), so layers that only draw the map
    come from a second pass, in step with the first.
    """
    shared, again = tee(frames)
    score = settings.score_layers
    everything = tuple(dict.fromkeys((*score, *settings.map_layers)))
    parts: dict[str, list[npt.NDArray[np.float32]]] = {layer: [] for layer in everything}
    passes = [extract_features(net, score, shared, compute=settings.compute)]
    if len(everything) > len(score):
        passes.append(extract_features(net, everything, again, compute=settings.compute))
    else:
        del again  # Nobody would empty it.
    for batches in zip(*passes, strict=True):
        for layer in everything:
            batch = batches[0] if layer in score else batches[-1]
            parts[layer].append(batch[layer])
    n = sum(map(len, parts[score[0]]))
    if n < MIN_FRAMES:
        msg = f"a fit needs at least {MIN_FRAMES} normal frames, got {n}; show it more"
        raise InputError(msg)
    return {layer: _joined(parts.pop(layer)) for layer in everything}


def _joined(parts: list[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Concatenate, each part freed once it is copied."""
    whole = np.empty((sum(map(len, parts)), parts[0].shape[1]), np.float32)
    end = len(whole)
    while parts:
        part = parts.pop()
        whole[end - len(part) : end] = part
        end -= len(part)
    return whole


def _fit_layers(
    net: Backbone, settings: FitSettings, features: Matrices, progress: Progress
) -> dict[str, _Seen]:
    seen = {}
    for count, (name, matrix) in enumerate(features.items(), start=1):
        gram, energy = centred_gram(matrix)
        spectrum = decompose(gram, energy=energy)
        layer = _fitted_layer(net, name, matrix, spectrum, settings)
        seen[name] = _Seen(layer=layer, gram=gram, energy=energy)
        progress("layers", count, len(features))
    return seen


def _fitted_layer(
    net: Backbone,
    name: str,
    matrix: npt.NDArray[np.float32],
    spectrum: Spectrum,
    settings: FitSettings,
) -> FittedLayer:
    subspace = fit_subspace(
        matrix, retain=settings.retain, max_rank=settings.max_rank, spectrum=spectrum
    )
    layer = net.layers[name]
    return FittedLayer(
        subspace=replace(subspace, directions=subspace.directions.astype(np.float16)),
        shape=(layer.channels, layer.height, layer.width),
    )


def _calibrate(seen: Mapping[str, _Seen], settings: FitSettings, noise: float) -> Calibration:
    last = seen[settings.score_layers[-1]]
    n = len(last.gram)
    blocks = contiguous_blocks(n, count=min(_BLOCKS, n // 2))
    gap = max(1, n // 50)
    errors = [
        crossfit_errors(
            seen[layer].gram,
            blocks=blocks,
            gap=gap,
            retain=settings.retain,
            max_rank=settings.max_rank,
            energy=seen[layer].energy,
        )
        for layer in settings.score_layers
    ]
    scores = fuse_errors(errors)
    alpha = smallest_alpha(n) if settings.alpha is None else settings.alpha
    return Calibration(
        threshold=conformal_threshold(scores, alpha=alpha),
        alpha=alpha,
        scores=scores,
        effective_frames=effective_count(last.gram, noise=noise),
        blocks=len(blocks),
        gap=gap,
    )


def _report(model: Model, seconds: float) -> FitReport:
    calibration = model.calibration
    return FitReport(
        frames=calibration.frames,
        effective_frames=calibration.effective_frames,
        ranks={name: layer.subspace.rank for name, layer in model.layers.items()},
        alpha=calibration.alpha,
        threshold=calibration.threshold,
        seconds=seconds,
        warnings=_warnings(calibration),
    )


def _warnings(calibration: Calibration) -> tuple[str, ...]:
    if calibration.effective_frames >= _FEW_DISTINCT:
        return ()
    return (
        f"the {calibration.frames} frames amount to only {calibration.effective_frames:.1f} "
        "distinct ones, so the model knows little of what is normal and the false-alarm rate is "
        "not to be relied on; show it more products, for longer or with fewer frames a second",
    )
