"""Fit, calibrate and test on frames drawn again and again from one set of normal pictures."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamline.conformal import ConformalTest, smallest_alpha
from streamline.fre import held_out
from streamline.learn.holdout import hold_out
from tools.promise.features import Frames

__all__ = ["Row", "resample"]

Doubles = npt.NDArray[np.float64]

_FITTED, _CALIBRATED = 0.35, 0.45
"""Shares of the pictures in the split form; the rest are tested."""

_MOST_CROSSED = 400
"""Pictures fitted to, and calibrated on, in the cross-fit form: eleven fits a round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one rate came to."""

    way: str
    frames: int
    """Held-out scores."""

    tested: int
    """Pictures a round."""

    alpha: float
    rate: float
    """Mean share of tested pictures that failed."""

    error: float
    """Standard error of that mean over the rounds."""

    @property
    def kept(self) -> bool:
        """Whether the rate is at most alpha, up to two standard errors."""
        return self.rate <= self.alpha + 2 * self.error


def resample(frames: Frames, alphas: Sequence[float], *, rounds: int, seed: int) -> list[Row]:
    """Draw so often, in both forms; rates that the pictures are too few for are left out."""
    generator = np.random.default_rng(seed)
    rows = []
    for way, draws in (("split", _split), ("cross-fit", _crossed)):
        found: dict[float, list[float]] = {alpha: [] for alpha in alphas}
        normal = tested = np.empty(0)
        for _ in range(rounds):
            normal, tested = draws(frames, generator.permutation(len(frames)))
            for alpha in _supported(alphas, len(normal)):
                threshold = ConformalTest(normal, alpha=alpha).threshold
                found[alpha].append(float(np.mean(tested > threshold)))
        rows += [
            Row(
                way=way,
                frames=len(normal),
                tested=len(tested),
                alpha=alpha,
                rate=float(np.mean(found[alpha])),
                error=float(np.std(found[alpha], ddof=1) / math.sqrt(rounds)),
            )
            for alpha in _supported(alphas, len(normal))
        ]
    return rows


def _supported(alphas: Sequence[float], n: int) -> Iterator[float]:
    return (alpha for alpha in alphas if alpha >= smallest_alpha(n))


def _split(frames: Frames, order: npt.NDArray[np.intp]) -> tuple[Doubles, Doubles]:
    ends = [round(len(order) * share) for share in (_FITTED, _FITTED + _CALIBRATED)]
    fitted, calibrated, tested = np.split(order, ends)
    scores = frames.scores(order[ends[0] :], fitted=fitted)
    return scores[: len(calibrated)], scores[len(calibrated) :][: len(tested)]


def _crossed(frames: Frames, order: npt.NDArray[np.intp]) -> tuple[Doubles, Doubles]:
    fitted, tested = np.split(order, [min(_MOST_CROSSED, round(0.8 * len(order)))])
    normal = np.empty(len(fitted))
    held = hold_out(len(fitted))
    for block, others in held_out(len(fitted), blocks=held.blocks, gap=held.gap):
        normal[block] = frames.scores(fitted[block], fitted=fitted[others])
    return normal, frames.scores(tested, fitted=fitted)
