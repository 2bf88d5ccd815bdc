"""Fit a model to prepared normal frames and calibrate it on the same frames, held out in turn."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from operator import length_hint
from time import monotonic

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone, comes_with_package
from streamline.conformal import effective_size, require_support, smallest_alpha
from streamline.errors import InputError
from streamline.fre import effective_count
from streamline.infer import settle
from streamline.learn.bank import BankFit
from streamline.learn.detector import DetectorFit, FittedDetector
from streamline.learn.features import stream_features
from streamline.learn.fre import FreFit
from streamline.learn.holdout import hold_out
from streamline.learn.noise import noise_distance
from streamline.learn.settings import (
    AnyFitSettings,
    FitReport,
    Fitted,
    SgfrSettings,
)
from streamline.learn.spread import Spread
from streamline.model import BackboneId, Calibration, Model
from streamline.model.manifest import now
from streamline.preprocess import PREPROCESSING
from streamline.progress import Progress, ignore_progress
from streamline.scene import ReferenceBuilder

__all__ = ["MIN_FRAMES", "fit_frames"]

Frame = npt.NDArray[np.uint8]

MIN_FRAMES = 8
"""With fewer there is nothing to hold out."""

_FEW_DISTINCT = 10.0
"""Fewer distinct frames than this, and the fit has seen one part, not the product."""

_NOISE_FRAMES = 8
"""Frames on which the effect of sensor noise is measured."""


def fit_frames(
    frames: Iterable[Frame],
    settings: AnyFitSettings,
    /,
    *,
    source: str,
    progress: Progress = ignore_progress,
) -> Fitted:
    """Fit and calibrate a model.

    Memory: FRE holds the features of `FitSettings.hold` frames, 0.4 MB each with the default
    layers; further frames are merged with them and cost less than 10 kB each. SGFR holds those
    of all frames, 0.3 MB each, twice while it ends.

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
    settings = settings.resolved()
    settle(settings.compute)  # What is missing is told before a network is exported.
    every = list(chain.from_iterable(settings.passes))
    net = settings.find_backbone(every, progress=progress)
    settings = settings.settled(settle(settings.compute, stored=net.precision))
    few, fit, scene = Spread(_NOISE_FRAMES), _begun(net, settings), ReferenceBuilder()
    watched = scene.passing(_watched(frames, few, progress))
    batches = stream_features(net, settings.passes, watched, settings.compute, settings.mask)
    try:
        for together in batches:
            fit.add(together)
        _require_enough(fit.frames, settings)
        fitted = fit.finish(hold_out(fit.frames), progress)
        distinct = _distinct(fitted, noise_distance(net, settings, few.frames))
        calibration = replace(_calibrate(fitted, settings, source), scene=scene.finish())
    except ValueError as exc:
        msg = f"no model can be fitted to {source}: {exc}"
        raise InputError(msg) from exc
    model = Model(
        backbone=BackboneId(net.name, net.precision, net.sha256),
        stored=None if comes_with_package(net) else net,
        quantisation=net.quantisation,
        preprocessing=PREPROCESSING,
        height=net.height,
        width=net.width,
        detector=fitted.detector,
        mask=settings.mask,
        distinct_frames=distinct,
        calibration=calibration,
        source=source,
        created=calibration.created,
    )
    report = _report(model, settings, fitted, seconds=monotonic() - started)
    return Fitted(model=model, report=report)


def _begun(net: Backbone, settings: AnyFitSettings) -> DetectorFit:
    if isinstance(settings, SgfrSettings):
        return BankFit(net, settings)
    return FreFit(net, settings)


def _watched(frames: Iterable[Frame], few: Spread, progress: Progress) -> Iterator[Frame]:
    """Pass frames on, report them, and keep copies of a few."""
    for count, frame in enumerate(frames, start=1):
        progress("frames", count, length_hint(frames) or None)
        if few.wants():
            few.keep(frame.copy())
        yield frame


def _require_enough(n: int, settings: AnyFitSettings) -> None:
    if n < MIN_FRAMES:
        msg = f"a fit needs at least {MIN_FRAMES} normal frames, got {n}; show it more"
        raise InputError(msg)
    if settings.alpha is not None:
        try:
            require_support(n, alpha=settings.alpha)
        except ValueError as exc:
            raise InputError(str(exc)) from exc


def _distinct(fitted: FittedDetector, noise: float) -> float:
    places = fitted.places
    return effective_count(places.coordinates, noise=noise, outside=places.outside)


def _calibrate(fitted: FittedDetector, settings: AnyFitSettings, source: str) -> Calibration:
    scores = fitted.scores
    alpha = smallest_alpha(len(scores)) if settings.alpha is None else settings.alpha
    return Calibration(
        alpha=alpha,
        scores=scores,
        way="cross-fit",
        effective_frames=effective_size(scores),
        blocks=len(fitted.held.blocks),
        gap=fitted.held.gap,
        source=source,
        created=now(),
        device=settings.compute.device,
        arithmetic=settings.compute.precision,
    )


def _report(
    model: Model, settings: AnyFitSettings, fitted: FittedDetector, *, seconds: float
) -> FitReport:
    calibration = model.calibration
    return FitReport(
        frames=calibration.frames,
        distinct_frames=model.distinct_frames,
        alpha=calibration.alpha,
        alpha_chosen=settings.alpha is None,
        threshold=calibration.threshold,
        seconds=seconds,
        training=fitted.training,
        warnings=(*_warnings(model), *fitted.warnings),
    )


def _warnings(model: Model) -> tuple[str, ...]:
    if model.distinct_frames >= _FEW_DISTINCT:
        return ()
    warning = (
        f"the {model.calibration.frames} frames amount to only {model.distinct_frames:.1f} "
        "distinct ones, so the model knows little of what is normal and the false-alarm rate is "
        "not to be relied on; show it more products, for longer or with fewer frames a second"
    )
    return (warning,)
