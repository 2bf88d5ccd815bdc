"""Who takes the machine's processor time: this program and what it started, or others."""

import os
from pathlib import Path
from typing import Self

import psutil

__all__ = ["OtherWork"]


class OtherWork:
    """Measures what share of the processors others took while the context was open.

    Counted by the kernel in ticks of 10 ms; time that a hypervisor gave to somebody else is
    theirs too.  Leave the context before the processes to be told apart from others end.
    """

    share = 0.0

    def __enter__(self) -> Self:
        self._busy, self._whole, self._ours = *_machine(), _family()
        return self

    def __exit__(self, *_: object) -> None:
        busy, whole = _machine()
        ours = _family() - self._ours
        self.share = max(0.0, (busy - self._busy - ours) / (whole - self._whole))


def _machine() -> tuple[float, float]:
    """Busy and all seconds of all processors since they were started."""
    ticks = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, idle, iowait, *rest = ticks
    busy = user + nice + system + sum(rest)
    scale = os.sysconf("SC_CLK_TCK")
    return busy / scale, (busy + idle + iowait) / scale


def _family() -> float:
    """Seconds that this process, its descendants and those that have ended have used."""
    me = psutil.Process()
    used = 0.0
    for process in (me, *me.children(recursive=True)):
        try:
            used += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return used
