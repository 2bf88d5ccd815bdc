"""When the frames of a paced source are due, and which of them a late reader has missed."""

from collections.abc import Callable
from typing import NamedTuple

from streamline.clock import monotonic_ns

__all__ = ["Due", "Pacer"]


class Due(NamedTuple):
    """One frame's turn."""

    number: int
    """Which frame it is, counted from 0 with the missed ones."""

    missed: int
    """How many frames' times passed before this one without a read."""


class Pacer:
    """Deals out due times at a steady rate: frame i is due at ``start + i / rate``.

    The clock starts with the first call of `turn`, so that opening and priming are not lateness.

    Parameters
    ----------
    rate_hz : float
        Frames a second, > 0.
    wait : callable
        Sleeps for that many seconds; it may return early only to end the reading.
    clock : callable
        Gives the present time in ns.
    """

    def __init__(
        self,
        rate_hz: float,
        *,
        wait: Callable[[float], object],
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._rate_hz = rate_hz
        self._wait = wait
        self._clock = clock
        self._start_ns: int | None = None
        self._next = 0

    def due_ns(self, index: int) -> int:
        """When frame *index* is due, on the clock; meaningful after the first `turn`."""
        return (self._start_ns or 0) + round(index * 1e9 / self._rate_hz)

    def turn(self) -> Due:
        """Wait until the next frame is due; where it is overdue, pass to the newest one due."""
        now_ns = self._clock()
        if self._start_ns is None:
            self._start_ns = now_ns
        early_ns = self.due_ns(self._next) - now_ns
        if early_ns > 0:
            self._wait(early_ns / 1e9)
        missed = max(0, int((now_ns - self._start_ns) * self._rate_hz / 1e9) - self._next)
        due = Due(self._next + missed, missed)
        self._next = due.number + 1
        return due
