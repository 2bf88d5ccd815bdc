"""Who takes the processors' time: this program and what it started, or others."""

import os
from pathlib import Path
from typing import Final, NamedTuple, Self

from streamline.bench.processes import TICKS, family, seconds_of

__all__ = ["QUIET", "OtherWork"]

QUIET: Final = 0.02
"""Share of the processors that other work may take in a run that counts."""


class OtherWork:
    """Measures what share of the processors others took while the context was open.

    Counted by the kernel in ticks of 10 ms; time that a hypervisor gave to somebody else is
    theirs too.  Leave the context before the processes to be told apart from others end.
    """

    share = 0.0
    """Of all processors."""

    def __enter__(self) -> Self:
        self._before = _Machine.now()
        self._ours = _used()
        return self

    def __exit__(self, *_: object) -> None:
        now, ours = _Machine.now(), _used() - self._ours
        whole = now.whole - self._before.whole
        self.share = max(0.0, (now.busy - self._before.busy - ours) / whole) if whole else 0.0


class _Machine(NamedTuple):
    """Seconds of all processors since they were started."""

    busy: float
    whole: float

    @classmethod
    def now(cls) -> Self:
        ticks = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        user, nice, system, idle, iowait, *rest = ticks
        busy = user + nice + system + sum(rest)
        return cls(busy / TICKS, (busy + idle + iowait) / TICKS)


def _used() -> float:
    return sum(seconds_of(pid) for pid in family(os.getpid()))
