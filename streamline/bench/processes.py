"""What processes use, by process and by thread, as the kernel tells it."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["TICKS", "Thread", "family", "pss_of", "seconds_of", "threads_of"]

TICKS: Final = os.sysconf("SC_CLK_TCK")
"""Of the kernel's counts of processor time, a second."""


class Thread(NamedTuple):
    """A thread, and the processor time it has used."""

    pid: int
    id: int
    name: str
    """As the kernel has it, 15 characters."""

    seconds: float


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found = [pid]
    for one in found:  # It grows while it is gone through.
        found.extend(children.get(one, ()))
    return found


def seconds_of(pid: int) -> float:
    """Processor time of a process and its children that have ended, s; 0 if it is gone."""
    fields = _stat(pid)
    return sum(map(int, fields[11:15])) / TICKS if fields else 0.0


def threads_of(pids: Iterable[int]) -> list[Thread]:
    """Return the threads of processes; those that end meanwhile are left out."""
    return [thread for pid in pids for thread in _threads(pid)]


def pss_of(pids: Iterable[int]) -> int:
    """Memory of processes together, B: what several of them share is counted once."""
    return sum(_pss(pid) for pid in pids)


def _threads(pid: int) -> Iterator[Thread]:
    for task in _tasks(pid):
        try:
            # In ns, where stat counts in ticks of 10 ms.
            used_ns = int((task / "schedstat").read_text().split()[0])
            name = (task / "comm").read_text(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield Thread(pid, int(task.name), name, used_ns / 1e9)


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return []


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(x.split()[1]) << 10 for x in text.splitlines() if x.startswith("Pss:")), 0)


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            yield int(entry.name), int(fields[1])


def _stat(pid: int) -> list[str]:
    """Fields from the third on; the second, a name, may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
