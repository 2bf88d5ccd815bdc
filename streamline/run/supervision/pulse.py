"""Whether a worker still goes round: from its stages' pulses, and what the kernel says of it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from streamline.clock import monotonic_ns
from streamline.ledger import LedgerView

__all__ = ["Pulse"]

_SECOND_NS: Final = 1_000_000_000

_STOPPED_NS: Final = 3 * _SECOND_NS // 10
"""A process that a signal has stopped does not go on by itself."""

_SILENT_NS: Final = 3 * _SECOND_NS // 2
"""A stage that sleeps and has not gone round for this long is stuck."""

_BUSY_NS: Final = 10 * _SECOND_NS
"""The same for one that is running: it may only be short of processor time."""

_DOUBTFUL_NS: Final = _SECOND_NS // 2
"""Once a stage is silent for this long it is watched how its process gets on."""

_STARVED_NS: Final = 20 * _SECOND_NS
"""No more than this is put down to a busy machine: threads may also wait beside a stuck stage."""

_SLOW_DISK_NS: Final = 30 * _SECOND_NS
"""No more than this is put down to a disk: a memory card takes seconds to sync, a file server that
is started again longer.  Who is killed while he waits for one only makes his successor wait."""

_OPENING_NS: Final = 30 * _SECOND_NS
"""A worker none of whose stages has gone round yet hangs if it does nothing for this long."""

_OPENING_ON_DISK_NS: Final = 90 * _SECOND_NS
"""The same of one that waits for a disk: its successors would wait for it too, and are not given up
if they die this seldom."""

_HELD_UP_NS: Final = _SECOND_NS // 2


class _Task(NamedTuple):
    """A process or a thread as the kernel describes it."""

    state: str
    ticks: int
    """Processor time it has used."""


class Pulse:
    """One life of a worker, looked at many times a second.

    Parameters
    ----------
    pid : int
        Its process.
    now_ns : int
        When it was started; this and all other times on the same monotonic clock.
    """

    def __init__(self, pid: int, now_ns: int) -> None:
        self._pid = pid
        self._started_ns = now_ns
        self._looked_ns = now_ns
        self._going_ns = now_ns
        """When it was last seen not to be stopped."""

        self._worked_ns = now_ns
        """When it was last seen to have used more processor time."""

        self._ticks = 0
        self._hindrance: _Hindrance | None = None

    def is_stuck(self, view: LedgerView | None, now_ns: int) -> bool:
        """Whether the worker will not go on by itself; *view* is its ledger, if it has one yet."""
        punctual = now_ns - self._looked_ns < _HELD_UP_NS
        self._looked_ns = now_ns
        task = _task(self._pid, self._pid)
        if task is None:
            return False  # It has just ended; its exit status will tell.
        # A supervisor that was itself held up can't tell who else was.
        if task.state != "T" or not punctual:
            self._going_ns = now_ns
        if task.ticks != self._ticks or not punctual:
            self._ticks, self._worked_ns = task.ticks, now_ns
        if not punctual:
            return False
        if now_ns - self._going_ns > _STOPPED_NS:
            return True
        beats = self._beats(view)
        if not beats:
            idle_ns = now_ns - self._worked_ns
            if idle_ns < _OPENING_NS:
                return False
            return idle_ns > _OPENING_ON_DISK_NS or "D" not in _states(self._pid).values()
        hindered_ns = self._hindered_ns(now_ns, min(beat_ns for beat_ns, _ in beats))
        return any(
            self._is_silent(now_ns - beat_ns - hindered_ns, thread) for beat_ns, thread in beats
        )

    def _hindered_ns(self, now_ns: int, oldest_beat_ns: int) -> int:
        """How much of the time since it fell silent the worker could not help it."""
        if now_ns - oldest_beat_ns < _DOUBTFUL_NS:
            self._hindrance = None
            return 0
        if self._hindrance is None:
            self._hindrance = _Hindrance(self._pid, now_ns)
        return self._hindrance.ns(now_ns)

    def _beats(self, view: LedgerView | None) -> list[tuple[int, int]]:
        """Latest beat, ns, and thread of each stage that has begun in this life and not ended."""
        if view is None:
            return []
        threads = view.values("stage_thread")
        beats = view.values("stage_pulse_seconds")
        found = [(round(beat_s * 1e9), int(threads[labels])) for labels, beat_s in beats.items()]
        # An older one is a predecessor's.
        return [one for one in found if one[0] >= self._started_ns]

    def _is_silent(self, silent_ns: int, thread: int) -> bool:
        if silent_ns < _SILENT_NS or silent_ns > _BUSY_NS:
            return silent_ns > _BUSY_NS
        task = _task(self._pid, thread)
        # It works, waits for its turn or for a disk: it may only be slow.
        return task is None or task.state not in {"R", "D"}


class _Hindrance:
    """Time in which a process could not go on: others had the processors, or a disk held it up.

    A stage may sleep because a thread that works for it, or holds what it needs, waits for its
    turn, on a machine with other work than this line, or for a disk.  To kill it then would only
    add to the load.
    """

    def __init__(self, pid: int, now_ns: int) -> None:
        self._pid = pid
        self._began_ns = now_ns
        self._looked_ns = now_ns
        self._disk_ns = 0
        self._threads: dict[int, _Queuing] = {}

    def ns(self, now_ns: int) -> int:
        """Return that time so far: of all threads together, since each may wait for another."""
        states = _states(self._pid)
        if "D" in states.values():
            self._disk_ns += now_ns - self._looked_ns
        self._looked_ns = now_ns
        starved_ns = min(self._starved_ns(states), _STARVED_NS)
        disk_ns = min(self._disk_ns, _SLOW_DISK_NS)
        return min(starved_ns + disk_ns, now_ns - self._began_ns)

    def _starved_ns(self, states: Mapping[int, str]) -> int:
        together_ns = 0
        for thread, (ran_ns, queued_ns) in _schedule(self._pid).items():
            queuing = self._threads.setdefault(thread, _Queuing(queued_ns))
            if (ran_ns, queued_ns) != queuing.seen:
                queuing.seen, queuing.since_ns = (ran_ns, queued_ns), monotonic_ns()
            together_ns += queued_ns - queuing.before_ns
            if states.get(thread) == "R":
                # The kernel counts a wait when it is over; this one is not.
                together_ns += monotonic_ns() - queuing.since_ns
        return together_ns


@dataclass(slots=True)
class _Queuing:
    """A thread's time in the queues of the processors."""

    before_ns: int
    """When it was first looked at."""

    seen: tuple[int, int] = (0, 0)
    """When it was last looked at: time on a processor and in a queue, ns."""

    since_ns: int = 0
    """When these were first seen."""


def _states(pid: int) -> dict[int, str]:
    """States of a process' threads."""
    found = {thread: _task(pid, thread) for thread in _threads(pid)}
    return {thread: task.state for thread, task in found.items() if task is not None}


def _schedule(pid: int) -> dict[int, tuple[int, int]]:
    """Time of each thread of a process on a processor and in a queue, ns; none if not told."""
    found = {}
    for thread in _threads(pid):
        # A thread may end meanwhile, and some sandboxes have no such figures.
        with suppress(OSError, ValueError):
            text = Path(f"/proc/{pid}/task/{thread}/schedstat").read_text()
            ran_ns, queued_ns, _ = map(int, text.split())
            found[thread] = ran_ns, queued_ns
    return found


def _threads(pid: int) -> list[int]:
    """Threads of a process; none of one that has just ended."""
    try:
        return [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def _task(pid: int, thread: int) -> _Task | None:
    try:
        text = Path(f"/proc/{pid}/task/{thread}/stat").read_text()
    except OSError:
        return None
    # The name before it may contain spaces and parentheses.
    fields = text.rpartition(")")[2].split()
    return _Task(fields[0], int(fields[11]) + int(fields[12]))
