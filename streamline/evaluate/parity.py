"""Whether two backends, devices or precisions judge alike: the gate before one takes over."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import tee

import numpy as np
import numpy.typing as npt

from streamline.errors import InputError
from streamline.infer import Compute, score_frames, settle
from streamline.messages import Verdict
from streamline.model import Model

__all__ = ["Flip", "Parity", "compare_scores"]

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A frame that the two judge differently."""

    frame: int
    """Its number, from 0 on."""

    scores: tuple[float, float]
    verdicts: tuple[Verdict, Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far the scores of the same frames lie apart."""

    between: Compute
    """What both are compared on, settled."""

    other: Compute
    frames: int
    threshold: float
    largest: float
    """Largest difference of a frame's two scores, as a share of the first one."""

    largest_at: int
    """Number of the frame where it is."""

    mean: float
    """Mean of these differences."""

    flips: tuple[Flip, ...]


def compare_scores(
    model: Model, frames: Iterable[Frame], between: Compute, other: Compute
) -> Parity:
    """Score frames in two ways, batch by batch.

    Parameters
    ----------
    frames : iterable of arrays of shape (height, width, 3)
        Prepared frames; read once.

    Raises
    ------
    InputError
        If there are no frames, or both ways are the same.
    ConfigError
        If a backend, a device or its arithmetic is not there.
    """
    stored = model.backbone.precision
    ways = settle(between, stored=stored), settle(other, stored=stored)
    if ways[0] == ways[1]:
        msg = f"both compute with {between.backend} on {ways[0].device} in {ways[0].precision}: "
        raise InputError(msg + "give two ways that differ")
    some, same = tee(frames)
    pairs = [
        score_frames(model, one, compute=way) for one, way in ((some, ways[0]), (same, ways[1]))
    ]
    batches = [np.stack(both) for both in zip(*pairs, strict=True)]
    if not batches:
        msg = "there are no frames to compare scores of; give another source"
        raise InputError(msg)
    return _parity(np.concatenate(batches, axis=1).astype(np.float64), ways, model.threshold)


def _parity(
    scores: npt.NDArray[np.float64], ways: tuple[Compute, Compute], threshold: float
) -> Parity:
    first, second = scores
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.where(first == second, 0.0, np.abs(second - first) / np.abs(first))
    # Where one is no number they are as far apart as can be.
    apart[np.isnan(apart)] = math.inf
    at = int(apart.argmax())
    return Parity(
        between=ways[0],
        other=ways[1],
        frames=len(apart),
        threshold=threshold,
        largest=float(apart[at]),
        largest_at=at,
        mean=float(apart.mean()),
        flips=tuple(_flips(scores, threshold)),
    )


def _flips(scores: npt.NDArray[np.float64], threshold: float) -> Iterable[Flip]:
    for frame, (first, second) in enumerate(scores.T.tolist()):
        verdicts = _verdict(first, threshold), _verdict(second, threshold)
        if verdicts[0] != verdicts[1]:
            yield Flip(frame=frame, scores=(first, second), verdicts=verdicts)


def _verdict(score: float, threshold: float) -> Verdict:
    if not math.isfinite(score):
        return Verdict.UNKNOWN
    return Verdict.PASS if score <= threshold else Verdict.FAIL
