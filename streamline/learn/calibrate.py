"""Calibrate a model on normal frames that it was not fitted to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import length_hint

import numpy as np
import numpy.typing as npt

from streamline.config import AnySource
from streamline.conformal import effective_size, require_support
from streamline.errors import InputError
from streamline.infer import Compute, score_frames, settle
from streamline.learn.fit import MIN_FRAMES
from streamline.learn.holdout import hold_out
from streamline.learn.select import SelectedFrames, Selection
from streamline.mask import Mask
from streamline.model import Calibration, Model, require_preprocessing, restrict_model
from streamline.model.manifest import now
from streamline.preprocess import PREPROCESSING
from streamline.progress import Progress, ignore_progress
from streamline.scene import ReferenceBuilder

__all__ = ["CalibrateSettings", "calibrate_sources"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateSettings:
    """What is chosen for a calibration."""

    alpha: float | None = None
    """False-alarm rate per frame; None: that of the model's own calibration."""

    mask: Mask | None = None
    """What a camera leaves out of the model, which was fitted without that mask."""

    compute: Compute = field(default_factory=Compute)
    """What computes the scores; the line should be judged by the same."""


def calibrate_sources(
    model: Model,
    sources: Sequence[AnySource],
    selection: Selection,
    settings: CalibrateSettings,
    *,
    progress: Progress = ignore_progress,
) -> Calibration:
    """Score normal frames that the model was not fitted to: the split form of the promise.

    Returns
    -------
    Calibration
        That belongs to the model, without a digest until it is saved.

    Raises
    ------
    InputError
        If there are too few frames for the rate, or one has no finite score.
    ModelError, SourceError, ConfigError
        As for a line with this model and these sources.
    """
    require_preprocessing(model.preprocessing, PREPROCESSING)
    compute = settle(settings.compute, stored=model.backbone.precision)
    frames = SelectedFrames(sources, selection, size=model.height)
    names = ", ".join(source.label for source in sources)
    seen = model if settings.mask is None else restrict_model(model, settings.mask)
    batches, scene = [], ReferenceBuilder()
    for batch in score_frames(seen, scene.passing(frames), compute=compute):
        batches.append(batch)
        progress("frames", sum(map(len, batches)), length_hint(frames) or None)
    scores = np.concatenate([np.empty(0, np.float32), *batches]).astype(np.float64)
    wanted = model.calibration.alpha if settings.alpha is None else settings.alpha
    _require_sound(scores, wanted, names)
    worth = effective_size(scores)
    return Calibration(
        alpha=wanted,
        scores=scores,
        way="split",
        effective_frames=worth,
        blocks=len(hold_out(len(scores)).blocks),
        gap=math.ceil(len(scores) / worth),
        mask=settings.mask,
        scene=scene.finish(),
        interval_s=frames.interval_s,
        source=names,
        created=now(),
        device=compute.device,
        arithmetic=compute.precision,
        model=model.digest,
    )


def _require_sound(scores: npt.NDArray[np.float64], alpha: float, source: str) -> None:
    if len(scores) < MIN_FRAMES:
        msg = f"{source}: a calibration needs at least {MIN_FRAMES} normal frames, got "
        raise InputError(msg + f"{len(scores)}; show it more")
    if not np.isfinite(scores).all():
        msg = f"{source}: some frames have no finite score; calibrate on sound pictures"
        raise InputError(msg)
    try:
        require_support(len(scores), alpha=alpha)
    except ValueError as exc:
        msg = f"{source}: {exc}; show it more, or give another --alpha"
        raise InputError(msg) from exc
