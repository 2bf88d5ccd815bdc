"""What a calibration promises of a line: how often normal frames fail, and raise alerts.

That a normal frame fails with probability alpha says nothing of alerts: k of n fails in a row
depend on how scores hang together in time. So alerts are counted, on the normal frames
themselves: each block of them is judged by a threshold from the others, as its own would be
drawn through its own largest scores, and an upper confidence limit is taken for a count of rare
events. Where blocks differ by more than such counts do, events count for less accordingly
(quasi-Poisson).

P. McCullagh, J. A. Nelder, "Generalized Linear Models" (1989), section 6.2.3, for dispersion.
"""

import math
from dataclasses import dataclass
from statistics import mean, variance

import numpy as np
import numpy.typing as npt

from streamline.alert.rules import Change, Debounce
from streamline.conformal import (
    binomial_upper,
    conformal_threshold,
    poisson_upper,
    smallest_alpha,
)
from streamline.fre import contiguous_blocks, held_out
from streamline.messages import Verdict
from streamline.model import Calibration, Way

__all__ = ["CONFIDENCE", "AlertRate", "Promise", "alert_rate", "alerts_in", "promise_of"]

CONFIDENCE = 0.95
"""Of every upper limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRate:
    """How often alerts begin on normal frames."""

    k: int
    n: int
    """As in `Debounce`."""

    begins: int
    """Alerts that began."""

    frames: int
    """Frames that were judged."""

    upper: float
    """Alerts a frame, at most, with `CONFIDENCE`."""

    @property
    def estimate(self) -> float:
        """Alerts a frame."""
        return self.begins / self.frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What can be said of normal frames to come that are like those of the calibration."""

    way: Way
    alpha: float
    threshold: float
    frames: int
    effective_frames: float
    """As in `Calibration`."""

    fail_rate_upper: float
    """Share of normal frames that this very calibration lets fail, at most, with `CONFIDENCE`."""

    alerts: AlertRate
    fps: float | None
    """Frames a second of the recording, or of the line; None: not known."""

    alerts_per_hour: float | None
    alerts_per_hour_upper: float | None
    """With `CONFIDENCE`; both None where the frames have no time."""


def alert_rate(
    scores: npt.NDArray[np.float64], /, *, alpha: float, k: int, n: int, blocks: int, gap: int
) -> AlertRate:
    """Count alerts on normal frames, each block judged by a threshold from the others.

    Parameters
    ----------
    scores : array of shape (m,)
        Held-out scores in order of time.
    alpha : float
        False-alarm rate per frame; where the other blocks are too few for it, the smallest that
        they support.
    blocks, gap : int
        Contiguous runs, and frames left out on either side of the one that is judged.

    Raises
    ------
    ValueError
        If a block leaves too few frames.
    """
    begins = []
    runs = contiguous_blocks(len(scores), count=min(blocks, len(scores) // 2))
    for block, others in held_out(len(scores), blocks=runs, gap=gap):
        rate = max(alpha, smallest_alpha(len(others)))
        threshold = conformal_threshold(scores[others], alpha=rate)
        begins.append(alerts_in(scores[block] > threshold, k=k, n=n))
    total = sum(begins)
    spread = max(1.0, variance(begins) / mean(begins)) if total else 1.0
    upper = spread * poisson_upper(math.ceil(total / spread), confidence=CONFIDENCE)
    return AlertRate(k=k, n=n, begins=total, frames=len(scores), upper=upper / len(scores))


def alerts_in(fails: npt.NDArray[np.bool_], /, *, k: int, n: int) -> int:
    """Count the alerts that begin in a run of verdicts, fail or pass."""
    debounce = Debounce(k, n)
    verdicts = (Verdict.FAIL if fail else Verdict.PASS for fail in fails.tolist())
    return sum(debounce.update(verdict) is Change.BEGIN for verdict in verdicts)


def promise_of(
    calibration: Calibration, /, *, k: int = 3, n: int = 5, fps: float | None = None
) -> Promise:
    """Say what a calibration promises.

    Parameters
    ----------
    k, n : int
        When an alert begins, as in `Debounce`.
    fps : float, optional
        Frames a second that the line judges; those of the recording unless given.
    """
    found = alert_rate(
        calibration.scores,
        alpha=calibration.alpha,
        k=k,
        n=n,
        blocks=calibration.blocks,
        gap=calibration.gap,
    )
    if fps is None and calibration.interval_s is not None:
        fps = 1 / calibration.interval_s
    return Promise(
        way=calibration.way,
        alpha=calibration.alpha,
        threshold=calibration.threshold,
        frames=calibration.frames,
        effective_frames=calibration.effective_frames,
        fail_rate_upper=_fail_rate_upper(calibration),
        alerts=found,
        fps=fps,
        alerts_per_hour=None if fps is None else found.estimate * fps * 3600,
        alerts_per_hour_upper=None if fps is None else found.upper * fps * 3600,
    )


def _fail_rate_upper(calibration: Calibration) -> float:
    """Limit the rate given this calibration, by as many independent scores as it is worth.

    Of n exchangeable scores with m above the threshold, the rate above it is distributed as
    Beta(m + 1, n - m): its quantile is the binomial limit (V. Vovk, "Conditional validity of
    inductive conformal predictors", ACML 2012, proposition 2b).
    """
    above = int(np.count_nonzero(calibration.scores > calibration.threshold))
    worth = max(1, math.floor(calibration.effective_frames))
    events = math.ceil(above * worth / calibration.frames)
    return binomial_upper(events, worth, confidence=CONFIDENCE)
