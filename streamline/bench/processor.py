"""Who takes the processors' time: this program and what it started, or others."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Self

__all__ = ["QUIET", "OtherWork", "family", "seconds_of"]

QUIET: Final = 0.02
"""Share of the processors that other work may take in a run that counts."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")


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
        return cls(busy / _TICKS, (busy + idle + iowait) / _TICKS)


def _used() -> float:
    return sum(seconds_of(pid) for pid in family(os.getpid()))


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found = [pid]
    for one in found:  # It grows while it is gone through.
        found.extend(children.get(one, ()))
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            yield int(entry.name), int(fields[1])


def seconds_of(pid: int) -> float:
    """Processor time of a process and its children that have ended, s; 0 if it is gone."""
    fields = _stat(pid)
    return sum(map(int, fields[11:15])) / _TICKS if fields else 0.0


def _stat(pid: int) -> list[str]:
    """Fields from the third on; the second, a name, may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
