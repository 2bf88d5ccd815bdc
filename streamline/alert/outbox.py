"""Alerts on their way to the sinks: on disk before anybody is told, until everybody has been.

An SQLite file in write-ahead mode, synced in full at every commit.  Each sink has its place in one
sequence of events, so that it gets them in order, at least once, whatever dies.  While the disk
takes nothing more, or what it gives back makes no sense, events wait in a spare file in memory,
which outlives the process, and go back to the disk as soon as that can be written.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from pathlib import Path
from threading import Condition, Lock
from typing import Final, NamedTuple, TypeVar

import structlog

from streamline.alert.outbox_file import (
    DiskError,
    in_memory,
    is_sound,
    open_file,
    open_spare,
    put_aside,
    read_into,
    readable_events,
    remove,
)
from streamline.clock import monotonic_ns
from streamline.errors import InputError

__all__ = ["Outbox", "Posted"]

_log = structlog.get_logger("streamline.alert")

T = TypeVar("T")

_REMEMBERED: Final = 8192
"""Events kept after everybody has been told: one that is posted again is known."""

_RETRY_NS: Final = 5_000_000_000
"""How long events wait in memory before the file is tried again."""


class Posted(NamedTuple):
    """One event of an alert."""

    id: str
    """Of the alert."""

    kind: str
    """Begin, end, or one of its updates; with the id it names the event for ever."""

    body: bytes
    """One JSON object in UTF-8."""

    number: int = 0
    """Its place in the sequence; 0 until it has one."""


class _Place(Enum):
    """Where events are."""

    DISK = auto()
    SPARE = auto()
    """In a file in memory: lost with the host, not with the process."""

    MEMORY = auto()


class _Sink(NamedTuple):
    """How a sink stands."""

    waiting: int
    discarded: int


class Outbox:
    """The events that some sink has yet to be told.  Any thread may use it.

    Parameters
    ----------
    path : Path
        The file; made when absent, continued when present.
    sinks : sequence of str
        Who is to be told.  A new one is told what is posted from now on; one that is not there
        any more is forgotten, and what it had yet to be told is logged.
    max_events : int
        Most events that wait for one sink; more push out the oldest, counted and logged.
    spare : Path, optional
        A file in memory, where events wait while the disk does not serve; what a predecessor has
        left there is gone on with.  None: they wait in the process.
    patient : bool
        Whether a disk that can't be written at first is no reason to raise.

    Raises
    ------
    InputError
        If the file can't be used.
    """

    def __init__(
        self,
        path: Path,
        sinks: Sequence[str],
        *,
        max_events: int,
        spare: Path | None = None,
        patient: bool = False,
    ) -> None:
        self._path = path
        self._sinks = tuple(sinks)
        self._max_events = max_events
        self._spare = spare
        self._lock = Lock()
        self._changed = Condition(self._lock)
        self._posts = 0
        self._retry_ns = 0
        self._readable = True
        self._highest = 0
        self._standing: Mapping[str, _Sink] = {}
        self._unread: Mapping[str, int] = {}
        """How many events of a damaged file a sink is never told."""

        self._place = _Place.DISK
        self._db: sqlite3.Connection
        with self._lock:
            self._begin(patient=patient)
        self._discarded_before = {
            name: self.discarded(name) - self._unread.get(name, 0) for name in self._sinks
        }

    @property
    def durable(self) -> bool:
        """Whether events are on disk; if not they are lost with the host."""
        return self._place is _Place.DISK

    @property
    def outlives_process(self) -> bool:
        """Whether the next process finds the events."""
        return self._place is not _Place.MEMORY

    def post(self, events: Iterable[Posted]) -> None:
        """Take events over; those that are known already are not taken twice.

        They are on disk when this returns, or else in memory, and `durable` is false.
        """
        rows = [event._asdict() for event in events]
        with self._lock:
            self._come_back()
            self._do(lambda db: self._insert(db, rows))
            self._posts += 1
            self._changed.notify_all()

    def waiting(self, sink: str) -> int:
        """How many events a sink has yet to be told; nobody waits for a disk here."""
        return self._standing[sink].waiting

    def discarded(self, sink: str) -> int:
        """How many events it was never told, since they were too many."""
        return self._standing[sink].discarded

    def discarded_before(self, sink: str) -> int:
        """How many of those are of earlier openings of the file."""
        return self._discarded_before[sink]

    def next(self, sink: str, *, limit: int = 64) -> list[Posted]:
        """Return the oldest events that a sink has yet to be told."""
        with self._lock:
            return self._do(lambda db: _oldest(db, sink, limit))

    def tell(self, sink: str, number: int) -> None:
        """Note that a sink has been told everything up to an event."""
        with self._lock:
            self._come_back()
            self._do(lambda db: _advance(db, sink, number))

    def await_post(self, seen: int, timeout_s: float) -> int:
        """Wait until something is posted after *seen*, or for a time; return what to pass next."""
        with self._lock:
            if self._posts == seen:
                self._changed.wait(timeout_s)
            return self._posts

    def wake(self) -> None:
        """Let everybody who waits look again."""
        with self._lock:
            self._posts += 1
            self._changed.notify_all()

    def look_after(self) -> None:
        """Put what waits in memory onto the disk, if it is time to try."""
        with self._lock:
            self._come_back()

    def close(self) -> None:
        """Close the file, after a last try to get everything onto it; if all is told, remove it."""
        with self._lock:
            self._retry_ns = 0
            self._come_back()
            self._db.close()
        if self.durable and not any(one.waiting for one in self._standing.values()):
            remove(self._path)

    def _begin(self, *, patient: bool) -> None:
        """Open what there is."""
        left = self._left_in_memory()
        try:
            disk = open_file(self._path)
        except DiskError as exc:
            if not patient:
                raise
            self._tell_of_disk(exc.why)
            if left is None:
                self._copy_file()
            else:
                self._db, self._place = left, _Place.SPARE
            self._do(self._enrol)
            return
        self._db = disk
        if left is None:
            if not is_sound(disk):
                self._fall_back(sqlite3.DatabaseError("the file is damaged"))
            self._do(self._enrol)
        else:
            self._bring_together(left, disk)

    def _bring_together(self, left: sqlite3.Connection, disk: sqlite3.Connection) -> None:
        """Go on with what a predecessor has left in memory, and what is on disk."""
        self._readable = is_sound(disk)
        if self._readable and _highest(disk) > _highest(left):
            # Not of one line of descent: another has gone on with the file meanwhile.
            told = min((told for (told,) in left.execute("SELECT told FROM sinks")), default=0)
            query = "SELECT id, kind, body FROM events WHERE number > ? ORDER BY number"
            keys = ("id", "kind", "body")
            rows = [dict(zip(keys, row, strict=True)) for row in left.execute(query, (told,))]
            left.close()
            self._do(self._enrol)
            self._do(lambda db: self._insert(db, rows))
            if self.durable and self._spare is not None:
                remove(self._spare)
            return
        self._db, self._place = left, _Place.SPARE
        if self._readable:
            self._take_back(disk)
        else:
            disk.close()
        self._do(self._enrol)

    def _left_in_memory(self) -> sqlite3.Connection | None:
        if self._spare is None or not self._spare.exists():
            return None
        why = "it is damaged"
        try:
            db = open_spare(self._spare)
        except sqlite3.DatabaseError as exc:
            why = str(exc)
        else:
            if is_sound(db):
                return db
            db.close()
        _log.error("alerts that waited can't be read", file=str(self._spare), why=why)
        remove(self._spare)
        return None

    def _copy_file(self) -> None:
        """Go on in memory with what the file holds, which can't be opened where it is."""
        memory = in_memory()
        try:
            if self._spare is None:
                raise FileNotFoundError
            copy = self._spare.with_name(f"{self._spare.name}.copy")
            read_into(memory, self._path, copy)
        except (OSError, sqlite3.DatabaseError) as exc:
            _log.error("alerts that waited can't be read", file=str(self._path), why=str(exc))
            memory.close()
            memory, self._readable = in_memory(), False
        self._move(memory)

    def _insert(self, db: sqlite3.Connection, rows: Sequence[Mapping[str, object]]) -> None:
        # Numbers without gaps tell how many wait, without counting them.
        db.executemany(
            "INSERT INTO events (id, kind, body) SELECT :id, :kind, :body "
            "WHERE NOT EXISTS (SELECT 1 FROM events WHERE id = :id AND kind = :kind)",
            rows,
        )
        for name, one in _standing(db).items():
            if (over := one.waiting - self._max_events) > 0:
                _discard(db, name, over)
        _prune(db)

    def _enrol(self, db: sqlite3.Connection) -> None:
        """Make rows of the sinks that are new, and none of those gone."""
        known = _standing(db)
        for name in sorted(known.keys() - set(self._sinks)):
            if waiting := known[name].waiting:
                _log.warning("sink is gone, was never told", sink=name, events=waiting)
            db.execute("DELETE FROM sinks WHERE name = ?", (name,))
        for name in sorted(set(self._sinks) - known.keys()):
            db.execute("INSERT INTO sinks (name, told) VALUES (?, ?)", (name, _highest(db)))

    def _do(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Do one transaction; where the disk does not serve, in memory instead."""
        while True:
            try:
                with self._db:
                    done = action(self._db)
                    highest, standing = _highest(self._db), _standing(self._db)
            except sqlite3.DatabaseError as exc:
                if self._place is _Place.MEMORY:
                    raise
                self._fall_back(exc)
            else:
                self._highest, self._standing = highest, standing
                return done

    def _fall_back(self, cause: sqlite3.DatabaseError) -> None:
        """Go on in memory, with what can be read of what there was."""
        before, memory = self._db, in_memory()
        if self._place is _Place.DISK:
            self._tell_of_disk(str(cause))
        else:
            why = str(cause)
            _log.error("alerts that wait in memory no longer outlive this process", why=why)
        try:
            before.backup(memory)
            readable = is_sound(memory)
        except sqlite3.DatabaseError:
            readable = False
        if not readable:
            memory.close()
            memory, self._readable = self._salvaged(before), False
        before.close()
        self._move(memory)
        with self._db:
            self._enrol(self._db)

    def _tell_of_disk(self, why: str) -> None:
        _log.error("alerts can't be stored, wait in memory", file=str(self._path), why=why)
        self._retry_ns = monotonic_ns() + _RETRY_NS

    def _move(self, memory: sqlite3.Connection) -> None:
        """Go on with what is in memory, in the spare file unless that failed."""
        spare = None if self._place is _Place.SPARE else self._in_spare(memory)
        if spare is None:
            self._db, self._place = memory, _Place.MEMORY
        else:
            memory.close()
            self._db, self._place = spare, _Place.SPARE

    def _salvaged(self, damaged: sqlite3.Connection) -> sqlite3.Connection:
        """Make an outbox of the events of a damaged file that can be read; the others are counted.

        Couriers hold numbers.  The events that are left take the last ones there were, each no
        smaller a number than it had, so that none is taken for told.
        """
        memory, highest, standing = in_memory(), self._highest, self._standing
        try:
            if not standing:
                highest, standing = _highest(damaged), _standing(damaged)
        except sqlite3.DatabaseError:
            standing = {}
        most = max((one.waiting for one in standing.values()), default=0)
        found = list(readable_events(damaged, range(highest - most + 1, highest + 1)))
        with memory:
            first = highest - len(found) + 1
            memory.executemany(
                "INSERT INTO events (number, id, kind, body) VALUES (?, ?, ?, ?)",
                [(first + place, *row) for place, (_, row) in enumerate(found)],
            )
            memory.execute("DELETE FROM sqlite_sequence")
            memory.execute("INSERT INTO sqlite_sequence VALUES ('events', ?)", (highest,))
            left = {
                name: sum(number > highest - one.waiting for number, _ in found)
                for name, one in standing.items()
            }
            self._unread = {name: one.waiting - left[name] for name, one in standing.items()}
            memory.executemany(
                "INSERT INTO sinks (name, told, discarded) VALUES (?, ?, ?)",
                [
                    (name, highest - left[name], one.discarded + self._unread[name])
                    for name, one in standing.items()
                ],
            )
        lost = most - len(found) if standing else "unknown"
        _log.error("alerts that waited can't be read", file=str(self._path), events=lost)
        return memory

    def _in_spare(self, memory: sqlite3.Connection) -> sqlite3.Connection | None:
        """Make the spare file, whole or not at all."""
        if self._spare is None:
            return None
        new = self._spare.with_name(f"{self._spare.name}.new")
        remove(new)
        try:
            db = open_spare(new)
            try:
                memory.backup(db)
            finally:
                db.close()
            remove(self._spare)  # A log left beside it would be taken for the new one's.
            new.rename(self._spare)
            return open_spare(self._spare)
        except (OSError, sqlite3.DatabaseError) as exc:
            _log.error("there is no memory that outlives this process", why=str(exc))
            remove(new)
            remove(self._spare)
            return None

    def _come_back(self) -> None:
        """Put what waits in memory onto the disk, if it takes it again by now."""
        if self.durable or monotonic_ns() < self._retry_ns:
            return
        self._retry_ns = monotonic_ns() + _RETRY_NS
        try:
            if not self._readable:
                put_aside(self._path)
                self._readable = True
            disk = open_file(self._path)
        except (InputError, OSError, sqlite3.DatabaseError):
            return
        self._take_back(disk)

    def _take_back(self, disk: sqlite3.Connection) -> None:
        """Let the disk have what is in memory, if it can."""
        try:
            self._db.backup(disk)
        except sqlite3.DatabaseError as exc:
            disk.close()  # Else nobody could open it any more.
            if not self._retry_ns:
                self._tell_of_disk(str(exc))
            return
        self._db.close()
        self._db, self._place = disk, _Place.DISK
        if self._spare is not None:
            remove(self._spare)
        _log.warning("alerts are stored again", file=str(self._path))


def _standing(db: sqlite3.Connection) -> dict[str, _Sink]:
    highest = _highest(db)
    rows = db.execute("SELECT name, told, discarded FROM sinks")
    return {name: _Sink(highest - told, discarded) for name, told, discarded in rows}


def _highest(db: sqlite3.Connection) -> int:
    """Return the highest number that any event has ever had."""
    query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'"
    return int(db.execute(query).fetchone()[0])


def _oldest(db: sqlite3.Connection, sink: str, limit: int) -> list[Posted]:
    rows = db.execute(
        "SELECT id, kind, body, number FROM events WHERE number > "
        "(SELECT told FROM sinks WHERE name = ?) ORDER BY number LIMIT ?",
        (sink, limit),
    )
    return [Posted(*row) for row in rows]


def _advance(db: sqlite3.Connection, sink: str, number: int) -> None:
    db.execute("UPDATE sinks SET told = max(told, ?) WHERE name = ?", (number, sink))
    _prune(db)


def _discard(db: sqlite3.Connection, sink: str, count: int) -> None:
    """Push out the oldest events that wait for a sink."""
    db.execute(
        "UPDATE sinks SET discarded = discarded + :count, told = told + :count WHERE name = :sink",
        {"count": count, "sink": sink},
    )
    _log.error("too many alerts wait, the oldest are discarded", sink=sink, events=count)


def _prune(db: sqlite3.Connection) -> None:
    """Remove what nobody waits for, but for the latest."""
    db.execute(
        "DELETE FROM events WHERE number <= min((SELECT min(told) FROM sinks), "
        "(SELECT max(number) FROM events) - ?)",
        (_REMEMBERED,),
    )
