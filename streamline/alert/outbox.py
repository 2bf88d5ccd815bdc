"""Alerts on their way to the sinks: on disk before anybody is told, until everybody has been.

An SQLite file in write-ahead mode, synced in full at every commit.  Each sink has its place in one
sequence of events, so that it gets them in order, at least once, whatever dies.  When the disk
takes nothing more, or what it gives back makes no sense, events wait in memory and go back to a
file as soon as one can be written.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from threading import Condition, Lock
from typing import Final, NamedTuple, TypeVar

import structlog

from streamline.clock import monotonic_ns, wall_ns
from streamline.errors import InputError

__all__ = ["Outbox", "Posted"]

_log = structlog.get_logger("streamline.alert")

T = TypeVar("T")

_REMEMBERED: Final = 8192
"""Events kept after everybody has been told: one that is posted again is known."""

_RETRY_NS: Final = 5_000_000_000
"""How long events wait in memory before the file is tried again."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS events (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  body BLOB NOT NULL,
  UNIQUE (id, kind)
);
CREATE TABLE IF NOT EXISTS sinks (
  name TEXT PRIMARY KEY,
  told INTEGER NOT NULL,
  discarded INTEGER NOT NULL DEFAULT 0
);
"""
_VERSION: Final = 1


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
    rescue : Path, optional
        A folder in memory.  With it, a disk that can't be written just now is no reason to raise:
        what waits is read from a copy that is made there.

    Raises
    ------
    InputError
        If the file can't be used.
    """

    def __init__(
        self, path: Path, sinks: Sequence[str], *, max_events: int, rescue: Path | None = None
    ) -> None:
        self._path = path
        self._sinks = tuple(sinks)
        self._max_events = max_events
        self._lock = Lock()
        self._changed = Condition(self._lock)
        self._posts = 0
        self._retry_ns = 0
        self._durable = True
        self._readable = True
        self._highest = 0
        try:
            self._db = _open(path)
        except _DiskError as exc:
            if rescue is None:
                raise
            self._begin_in_memory(rescue, exc)
        with self._lock:
            self._highest = self._do(self._enrol)

    @property
    def durable(self) -> bool:
        """Whether events are on disk; if not they are lost with the process."""
        return self._durable

    def post(self, events: Iterable[Posted]) -> None:
        """Take events over; those that are known already are not taken twice.

        They are on disk when this returns, or else in memory, and `durable` is false.
        """
        rows = [(event.id, event.kind, event.body) for event in events]
        with self._lock:
            self._come_back()
            self._highest = self._do(lambda db: self._insert(db, rows))
            self._posts += 1
            self._changed.notify_all()

    def waiting(self, sink: str) -> int:
        """How many events a sink has yet to be told."""
        with self._lock:
            return self._do(lambda db: _waiting(db, sink))

    def discarded(self, sink: str) -> int:
        """How many events it was never told, since they were too many."""
        with self._lock:
            return self._do(lambda db: _discarded(db, sink))

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

    def close(self) -> None:
        """Close the file, after a last try to get everything onto it; if all is told, remove it."""
        with self._lock:
            self._retry_ns = 0
            self._come_back()
            waiting = self._do(lambda db: any(_waiting(db, sink) for sink in self._sinks))
            self._db.close()
        if not waiting and self._durable:
            _remove(self._path)

    def _insert(self, db: sqlite3.Connection, rows: Sequence[tuple[str, str, bytes]]) -> int:
        """Take events in; return the highest number of all."""
        db.executemany("INSERT OR IGNORE INTO events (id, kind, body) VALUES (?, ?, ?)", rows)
        for sink in self._sinks:
            over = _waiting(db, sink) - self._max_events
            if over > 0:
                self._discard(db, sink, over)
        return _highest(db)

    def _discard(self, db: sqlite3.Connection, sink: str, count: int) -> None:
        """Push out the oldest events that wait for a sink."""
        db.execute(
            "UPDATE sinks SET discarded = discarded + :count, told = (SELECT number FROM events "
            "WHERE number > told ORDER BY number LIMIT 1 OFFSET :count - 1) WHERE name = :sink",
            {"count": count, "sink": sink},
        )
        _log.error("too many alerts wait, the oldest are discarded", sink=sink, events=count)

    def _enrol(self, db: sqlite3.Connection) -> int:
        """Make rows of the sinks that are new, and none of those gone; return the last number."""
        known = [name for (name,) in db.execute("SELECT name FROM sinks")]
        for name in sorted(set(known) - set(self._sinks)):
            if waiting := _waiting(db, name):
                _log.warning("sink is gone, was never told", sink=name, events=waiting)
            db.execute("DELETE FROM sinks WHERE name = ?", (name,))
        told = _highest(db)
        for name in sorted(set(self._sinks) - set(known)):
            db.execute("INSERT INTO sinks (name, told) VALUES (?, ?)", (name, told))
        return told

    def _do(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Do one transaction; where the disk does not serve, in memory instead."""
        try:
            with self._db:
                return action(self._db)
        except sqlite3.DatabaseError as exc:
            if not self._durable:
                raise
            self._fall_back(exc)
            with self._db:
                return action(self._db)

    def _begin_in_memory(self, rescue: Path, cause: "_DiskError") -> None:
        """Begin with what the file holds, if that can be read."""
        _log.error("alerts can't be stored, wait in memory", file=str(self._path), why=cause.why)
        memory = _in_memory()
        try:
            _read_copy(self._path, rescue, memory)
        except (OSError, sqlite3.DatabaseError) as exc:
            _log.error("alerts that waited can't be read", file=str(self._path), why=str(exc))
            self._readable = False
            memory = self._begin_anew()
        self._db, self._durable = memory, False
        self._retry_ns = monotonic_ns() + _RETRY_NS

    def _fall_back(self, cause: sqlite3.DatabaseError) -> None:
        """Go on in memory, with what the file holds if that can be read."""
        _log.error("alerts can't be stored, wait in memory", file=str(self._path), why=str(cause))
        memory = _in_memory()
        try:
            self._db.backup(memory)
            self._readable = memory.execute("PRAGMA quick_check").fetchone() == ("ok",)
        except sqlite3.DatabaseError:
            self._readable = False
        self._db.close()
        if not self._readable:
            _log.error("alerts that waited can't be read", file=str(self._path))
            memory = self._begin_anew()
        self._db, self._durable = memory, False
        self._retry_ns = monotonic_ns() + _RETRY_NS
        with memory:
            self._enrol(memory)

    def _begin_anew(self) -> sqlite3.Connection:
        """Make an empty outbox whose numbers go on: what couriers hold is not taken for new."""
        memory = _in_memory()
        with memory:
            memory.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", (self._highest,)
            )
        return memory

    def _come_back(self) -> None:
        """Put what waits in memory onto the disk, if it takes it again by now."""
        if self._durable or monotonic_ns() < self._retry_ns:
            return
        self._retry_ns = monotonic_ns() + _RETRY_NS
        try:
            if not self._readable:
                _put_aside(self._path)
                self._readable = True
            disk = _open(self._path)
        except (InputError, OSError, sqlite3.DatabaseError):
            return
        try:
            self._db.backup(disk)
        except sqlite3.DatabaseError:
            disk.close()  # Else nobody could open it any more.
            return
        self._db.close()
        self._db, self._durable = disk, True
        _log.warning("alerts are stored again", file=str(self._path))


def _waiting(db: sqlite3.Connection, sink: str) -> int:
    query = "SELECT count(*) FROM events WHERE number > (SELECT told FROM sinks WHERE name = ?)"
    return int(db.execute(query, (sink,)).fetchone()[0])


def _discarded(db: sqlite3.Connection, sink: str) -> int:
    query = "SELECT discarded FROM sinks WHERE name = ?"
    return int(db.execute(query, (sink,)).fetchone()[0])


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
    db.execute(
        "DELETE FROM events WHERE number <= min((SELECT min(told) FROM sinks), "
        "(SELECT max(number) FROM events) - ?)",
        (_REMEMBERED,),
    )


class _DiskError(InputError):
    """The file can't be used, and that is the disk's fault."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(_refusal(path, why))
        self.why = why


_OF_THE_DISK: Final = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
}


def _refusal(path: Path, why: str) -> str:
    what = f"alerts can't be kept there until they are delivered ({why})"
    return f"{path}: {what}; set alert.outbox.path to another file"


def _open(path: Path) -> sqlite3.Connection:
    """Open the file; one that is no outbox any more is put aside."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _connect(path)
    except OSError as exc:
        raise _DiskError(path, exc.strerror or str(exc)) from exc
    except sqlite3.OperationalError as exc:
        code = getattr(exc, "sqlite_errorcode", 0) & 0xFF  # One raised here has none.
        if code in _OF_THE_DISK:
            raise _DiskError(path, str(exc)) from exc
        locked = code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
        why = "another line uses it" if locked else str(exc)
        raise InputError(_refusal(path, why)) from exc
    except sqlite3.DatabaseError as exc:
        _log.error("alerts that waited can't be read", file=str(path), why=str(exc))
        return _made_anew(path)


def _made_anew(path: Path) -> sqlite3.Connection:
    try:
        _put_aside(path)
        return _connect(path)
    except OSError as exc:
        raise _DiskError(path, exc.strerror or str(exc)) from exc


def _read_copy(path: Path, folder: Path, into: sqlite3.Connection) -> None:
    """Read a file that can't be opened where it is, with what its log holds; none holds nothing."""
    copy = folder / path.name
    try:
        for part in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(path.with_name(path.name + part), f"{copy}{part}")
        with closing(_connect(copy)) as db:
            db.backup(into)
    finally:
        _remove(copy)


def _in_memory() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", check_same_thread=False)
    db.executescript(_SCHEMA)
    return db


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=3.0, check_same_thread=False)
    try:
        # Kept by this process alone: two lines in one file would tell each other's sinks.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version not in {0, _VERSION}:
            what = f"it is of version {version}, not {_VERSION}"
            raise sqlite3.OperationalError(what)
        if not version:  # Else nothing is written: the disk may be full just now.
            db.executescript(_SCHEMA)
            db.execute(f"PRAGMA user_version = {_VERSION}")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _put_aside(path: Path) -> None:
    """Keep a damaged file under another name, for whoever can still read something in it."""
    aside = path.with_name(f"{path.name}.damaged-{wall_ns() // 1_000_000_000}")
    with suppress(FileNotFoundError):
        path.rename(aside)
        _log.warning("damaged outbox is put aside", kept=str(aside))
    _remove(path)


def _remove(path: Path) -> None:
    """Remove a file that nobody has open, with what SQLite may have left beside it."""
    for part in ("", "-wal", "-shm"):
        with suppress(OSError):
            path.with_name(path.name + part).unlink(missing_ok=True)
