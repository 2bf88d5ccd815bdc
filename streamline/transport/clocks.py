"""How far a peer's monotonic clock is ahead, from time stamps that come back over the link."""

from typing import Final

from streamline.clock import UNKNOWN_CLOCK, Shift

__all__ = ["LARGEST_SHIFT_NS", "ClockComparison"]

LARGEST_SHIFT_NS: Final = 1 << 60
"""36 years: more is nonsense from a peer."""

_DRIFT: Final = 5_000
"""One part in this many, 200 ppm, is how fast two clocks may part: crystals are within 50 ppm,
and a time service that slews them adds to it."""


class ClockComparison:
    """Bounds on a peer's clock minus this host's.

    The peer's stamp was taken between the question and its answer, so each exchange bounds the
    difference from both sides, however unevenly the way took its time.  The bounds are
    intersected over all exchanges, each of them growing wider by the clocks' drift since: a
    quick exchange counts until drift has made it worse than a later one (K. Marzullo, S. Owicki,
    "Maintaining the Time in a Distributed System", 1983).  Bounds that exclude each other mean
    that a clock has jumped: then only the latest counts.

    Examples
    --------
    >>> comparison = ClockComparison()
    >>> comparison.add(asked_ns=0, told_ns=1_000_400, heard_ns=1_000)
    >>> comparison.shift(1_000)
    Shift(ns=999900, error_ns=501)
    """

    def __init__(self) -> None:
        self._low_ns = self._high_ns = self._at_ns = 0
        self._known = False

    def add(self, *, asked_ns: int, told_ns: int, heard_ns: int) -> None:
        """Take one exchange into account.

        Parameters
        ----------
        asked_ns, heard_ns : int
            When the question left and when its answer was heard, on this host's clock.
        told_ns : int
            When the peer answered, on its own clock.
        """
        # The clocks part while the answer is on its way, too.
        parted_ns = _parted_ns(heard_ns - asked_ns)
        low_ns, high_ns = told_ns - heard_ns - parted_ns, told_ns - asked_ns + parted_ns
        if low_ns > high_ns or max(abs(low_ns), abs(high_ns)) > LARGEST_SHIFT_NS:
            return  # Not an answer to any question of ours.
        grown_ns = _parted_ns(heard_ns - self._at_ns)
        both_low_ns = max(low_ns, self._low_ns - grown_ns)
        both_high_ns = min(high_ns, self._high_ns + grown_ns)
        if self._known and both_low_ns <= both_high_ns:
            low_ns, high_ns = both_low_ns, both_high_ns
        self._low_ns, self._high_ns, self._at_ns = low_ns, high_ns, heard_ns
        self._known = True

    def shift(self, now_ns: int) -> Shift:
        """Return what to add to this host's times for the peer's clock."""
        if not self._known:
            return UNKNOWN_CLOCK
        half_ns = (self._high_ns - self._low_ns + 1) // 2
        middle_ns = (self._high_ns + self._low_ns) // 2
        return Shift(middle_ns, half_ns + _parted_ns(now_ns - self._at_ns))


def _parted_ns(elapsed_ns: int) -> int:
    """How far two clocks may have parted in that time; rounded up."""
    return -(-max(0, elapsed_ns) // _DRIFT)
