"""A bound on how often something may happen."""

from collections.abc import Callable

from streamline.clock import monotonic_ns

__all__ = ["TokenBucket"]


class TokenBucket:
    """Allows bursts, and no more than a rate in the long run.

    Parameters
    ----------
    rate_hz : float
        Tokens that come back a second.
    burst : int
        Tokens there are at the start, and at most.
    clock : callable
        Gives the present time in ns.
    """

    def __init__(
        self, rate_hz: float, *, burst: int, clock: Callable[[], int] = monotonic_ns
    ) -> None:
        self._rate_hz = rate_hz
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._at_ns = clock()

    def take(self) -> bool:
        """Take a token if there is one."""
        now_ns = self._clock()
        came_back = (now_ns - self._at_ns) * self._rate_hz / 1e9
        self._tokens = min(self._burst, self._tokens + came_back)
        self._at_ns = now_ns
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
