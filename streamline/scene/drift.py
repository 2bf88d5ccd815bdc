"""Whether scores still come as they did when the model was calibrated: a sequential test."""

import math
from typing import Final

__all__ = ["DriftWatch"]

_BLOCK_S: Final = 10.0
"""Time over which frames are taken together, s: those of one product are no evidence each."""

_FEWEST: Final = 8
"""Frames in a block at least; one with fewer is gone on with."""

_TAIL: Final = 0.1
"""Share of calibration's scores in each tail."""

_USUAL: Final = 2 * _TAIL
"""Most of how often a normal block has at least half of its frames in one tail."""

_DRIFTED: Final = 0.8
"""How often one of a drifted camera has: what the bets are placed on."""

_WIN: Final = _DRIFTED / _USUAL
_LOSS: Final = (1 - _DRIFTED) / (1 - _USUAL)


class DriftWatch:
    """Tells that the scores of a camera's frames are no longer those of its calibration.

    A block of frames counts as high if at least half of its p-values are in the lowest tenth, and
    as low if they are in the highest.  If normal frames of production are like those of
    calibration, a frame is there with probability 0.1 at most, and so a block, by Markov's
    inequality and however its frames depend on each other, with probability 0.2 at most.  For
    each side capital is bet on blocks at fair odds, never falling below its stake: a CUSUM
    e-detector (J. Shin, A. Ramdas, A. Rinaldo, "E-detectors: a nonparametric framework for
    sequential change detection", 2022).  Its mean time to a false alarm is at least the capital
    at which it gives alarm, in blocks, as long as a block's chance does not grow with what came
    before it.

    Single defects, even many, are no drift: half of a block must be.

    Parameters
    ----------
    n : int
        Scores of calibration behind the p-values; with fewer than 9 there are no tails, and no
        alarm is ever given.
    days : float
        Mean time between false alarms, at least.
    """

    def __init__(self, n: int, *, days: float = 30.0) -> None:
        # p-values are multiples of 1 / (n + 1), each as likely: no more than a tenth is a tail.
        self._tail = math.floor(_TAIL * (n + 1)) / (n + 1)
        self._half_step = 0.5 / (n + 1)
        # Either side may give a false alarm.
        self._enough = 2 * days * 86_400 / _BLOCK_S
        self._capital = {"high": 1.0, "low": 1.0}
        self._begin_s: float | None = None
        self._counts = {"high": 0, "low": 0}
        self._frames = 0
        self._side: str | None = None

    @property
    def side(self) -> str | None:
        """``high`` or ``low``: where scores have gone; None while they have not."""
        return self._side

    def see(self, p_value: float, moment_s: float, /) -> None:
        """Take the next frame's p-value: the share of normal frames that score at least as high.

        Parameters
        ----------
        p_value : float
            In (0, 1].
        moment_s : float
            When the frame was captured, on any one clock, s.
        """
        if self._begin_s is None:
            self._begin_s = moment_s
        self._frames += 1
        # Half a step apart from where p-values lie, so that rounding does not matter.
        self._counts["high"] += p_value < self._tail + self._half_step
        self._counts["low"] += p_value > 1 - self._tail + self._half_step
        if moment_s - self._begin_s >= _BLOCK_S and self._frames >= _FEWEST:
            self._bet()
            self._begin_s, self._frames = None, 0
            self._counts = dict.fromkeys(self._counts, 0)

    def _bet(self) -> None:
        for side, count in self._counts.items():
            odds = _WIN if 2 * count >= self._frames else _LOSS
            # What is won beyond an alarm only delays its end.
            self._capital[side] = min(max(self._capital[side], 1.0) * odds, self._enough)
        if self._side is not None and self._capital[self._side] < 1:
            self._side = None
        for side, capital in self._capital.items():
            if capital >= self._enough:
                self._side = side
