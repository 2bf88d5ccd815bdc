"""What a programmable logic controller is shown of a line: registers that fail safe."""

from collections.abc import Sequence
from threading import Lock
from typing import Final

from streamline.clock import monotonic_ns
from streamline.messages import Verdict

__all__ = ["Registers"]

_CODES: Final = {Verdict.UNKNOWN: 0, Verdict.PASS: 1, Verdict.FAIL: 2}
"""Unknown is what a register holds that nobody has written: nothing is never taken for a pass."""

_BEATS: Final = 1 << 16


class Registers:
    """The registers' contents: the heartbeat, whether the line runs, then two for each camera.

    Parameters
    ----------
    cameras : sequence of str
        In the order of their registers: the latest verdict (0 unknown, 1 pass, 2 fail), and 1 while
        an alert is on.
    stale_s : float
        A verdict that is older counts as unknown, s.

    Examples
    --------
    >>> registers = Registers(["left", "right"], stale_s=60)
    >>> registers.note("right", Verdict.PASS, alert=False)
    >>> registers.values()
    [1, 1, 0, 0, 1, 0]
    """

    def __init__(self, cameras: Sequence[str], *, stale_s: float) -> None:
        self._latest = dict.fromkeys(cameras, (0, 0, 0))
        self._stale_ns = round(stale_s * 1e9)
        self._beat = 0
        self._lock = Lock()

    def note(self, camera: str, verdict: Verdict, *, alert: bool) -> None:
        """Take a verdict over."""
        with self._lock:
            self._latest[camera] = (monotonic_ns(), _CODES[verdict], int(alert))

    def values(self) -> list[int]:
        """Return what is to be written next; the heartbeat counts up, and round after 65,535."""
        self._beat = (self._beat + 1) % _BEATS
        now_ns = monotonic_ns()
        with self._lock:
            latest = list(self._latest.values())
        found = [self._beat, 1]
        for at_ns, code, alert in latest:
            found += [code if now_ns - at_ns <= self._stale_ns else 0, alert]
        return found

    def safe(self) -> list[int]:
        """Return what is written when the line ends: it does not run, and every camera is unknown.

        An alert that is on stays on: it has not been answered because the line was stopped.
        """
        kept = self.values()
        return [kept[0], 0, *(0 if i % 2 == 0 else value for i, value in enumerate(kept[2:]))]
