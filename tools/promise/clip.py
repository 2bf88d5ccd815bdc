"""Fit, calibrate and test on parts of one recording, whose neighbouring frames are alike."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from streamline.alert.promise import alert_rate, alerts_in
from streamline.conformal import ConformalTest, effective_size
from streamline.fre import contiguous_blocks
from tools.promise.features import Frames

__all__ = ["Held", "hold_against"]

_BLOCKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One way to give the three thirds of a recording to fit, calibration and test."""

    thirds: tuple[int, int, int]
    """Which was fitted to, calibrated on, and tested."""

    alpha: float
    effective: float
    """What the scores of the calibration are worth."""

    fails: float
    """Share of the tested frames that failed."""

    alerts: int
    """That began in the tested frames."""

    most: float
    """That the calibration allows there, with 95 %."""


def hold_against(frames: Frames, alpha: float, *, k: int, n: int) -> Iterator[Held]:
    """Hold alerts in each third against the limit that another promised."""
    parts = contiguous_blocks(len(frames), count=3)
    for order in permutations(range(3)):
        fitted, calibrated, tested = (np.arange(len(frames))[parts[which]] for which in order)
        normal = frames.scores(calibrated, fitted=fitted)
        scores = frames.scores(tested, fitted=fitted)
        worth = effective_size(normal)
        gap = int(np.ceil(len(normal) / worth))
        found = alert_rate(normal, alpha=alpha, k=k, n=n, blocks=_BLOCKS, gap=gap)
        fails = scores > ConformalTest(normal, alpha=alpha).threshold
        yield Held(
            thirds=(order[0] + 1, order[1] + 1, order[2] + 1),
            alpha=alpha,
            effective=worth,
            fails=float(np.mean(fails)),
            alerts=alerts_in(fails, k=k, n=n),
            most=found.upper * len(tested),
        )
