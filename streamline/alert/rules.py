"""Decide from a camera's verdicts when an alert begins and ends."""

from collections import deque
from collections.abc import Iterable
from enum import StrEnum

from streamline.messages import Verdict

__all__ = ["Change", "Debounce", "Suppressed"]


class Change(StrEnum):
    """What a verdict did to a camera's alert."""

    BEGIN = "begin"
    END = "end"


class Suppressed(StrEnum):
    """Why a failed frame has no alert of its own."""

    DEBOUNCED = "debounced"
    """Too few of its neighbours failed."""

    MERGED = "merged"
    """An alert was on, and stands for it."""


class Debounce:
    """Begin when `k` of the last `n` verdicts are fail; end when `k` of the last `n` are pass.

    Verdicts are counted afresh after each change, so that one verdict can't do both.  An
    unknown verdict takes a place among the `n` and counts for neither side.

    Examples
    --------
    >>> alert = Debounce(2, 3)
    >>> [alert.update(Verdict(v)) for v in ("fail", "pass", "fail", "pass", "pass")]
    [None, None, <Change.BEGIN: 'begin'>, None, <Change.END: 'end'>]
    """

    def __init__(self, k: int, n: int) -> None:
        if not 1 <= k <= n:
            msg = f"k must be in 1..n, got k={k}, n={n}"
            raise ValueError(msg)
        self._k = k
        self._last: deque[Verdict] = deque(maxlen=n)
        self.active = False

    def resume(self, verdicts: Iterable[Verdict], *, active: bool) -> None:
        """Go on from what another left: the verdicts since its last change, oldest first."""
        self._last.clear()
        self._last.extend(verdicts)
        self.active = active

    def suppresses(self, verdict: Verdict) -> Suppressed | None:
        """Say what becomes of the failed frame that the next verdict leaves without an alert.

        While an alert is on, that is the next verdict itself if it fails; else it is the one that
        leaves the last `n` when the next comes.
        """
        if self.active:
            return Suppressed.MERGED if verdict is Verdict.FAIL else None
        leaves = len(self._last) == self._last.maxlen and self._last[0] is Verdict.FAIL
        return Suppressed.DEBOUNCED if leaves else None

    def update(self, verdict: Verdict) -> Change | None:
        """Take note of the camera's next verdict."""
        self._last.append(verdict)
        against = Verdict.PASS if self.active else Verdict.FAIL
        if self._last.count(against) < self._k:
            return None
        self._last.clear()
        self.active = not self.active
        return Change.BEGIN if self.active else Change.END
