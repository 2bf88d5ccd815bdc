"""How long to wait before a lost camera is tried again."""

import random
from collections.abc import Callable

from streamline.clock import monotonic_ns

__all__ = ["Backoff"]


class Backoff:
    """Exponential delays with jitter, which start over only after sustained frames.

    The n-th delay in a row is drawn evenly between half and all of
    ``min(longest_s, first_s * 2**n)``: cameras that were lost together (a switch, a power cut)
    are not all tried again together. One frame does not prove a camera well; a camera that
    delivers one and dies must not be hammered at the shortest delay.

    Parameters
    ----------
    first_s, longest_s : float
        Bounds of the delay before jitter, s.
    sustained_s : float
        How long frames must have come without a failure until the delays start over, s; 0: the
        first one proves enough.
    clock : callable
        Gives the present time in ns.
    random_source : random.Random
        Draws the jitter; by default seeded by the operating system.
    """

    def __init__(
        self,
        *,
        first_s: float = 0.5,
        longest_s: float = 30.0,
        sustained_s: float = 5.0,
        clock: Callable[[], int] = monotonic_ns,
        random_source: random.Random | None = None,
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._sustained_ns = round(sustained_s * 1e9)
        self._clock = clock
        self._random = random_source or random.SystemRandom()
        self._failures = 0
        self._delivering_since_ns: int | None = None

    @property
    def failures(self) -> int:
        """Failures in a row since frames were last sustained."""
        return self._failures

    def delivered(self) -> None:
        """Note that a frame came."""
        now_ns = self._clock()
        if self._delivering_since_ns is None:
            self._delivering_since_ns = now_ns
        if now_ns - self._delivering_since_ns >= self._sustained_ns:
            self._failures = 0

    def failed(self) -> float:
        """Note a failure to open or to read; return how long to wait, s."""
        self._delivering_since_ns = None
        # The exponent is bounded since 2.0**1024 overflows after some days of failures.
        ceiling_s = min(self._longest_s, self._first_s * 2.0 ** min(self._failures, 64))
        self._failures += 1
        return ceiling_s * self._random.uniform(0.5, 1.0)
