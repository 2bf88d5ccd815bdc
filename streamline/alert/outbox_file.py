"""The SQLite file in which alerts wait: opened, copied, put aside, removed."""

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import structlog

from streamline.clock import wall_ns
from streamline.errors import InputError

__all__ = [
    "SPARE_BYTES",
    "DiskError",
    "in_memory",
    "is_sound",
    "open_file",
    "open_spare",
    "put_aside",
    "read_into",
    "readable_events",
    "remove",
]

_log = structlog.get_logger("streamline.alert")

SPARE_BYTES: Final = 8 << 20
"""Most that a file in memory takes, without its log: some 8,000 events."""

_PAGE_BYTES: Final = 4096
_SPARE_LOG_PAGES: Final = 100

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
_MAGIC: Final = b"SQLite format 3\0"

_OF_THE_DISK: Final = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
}
_PARTS: Final = ("", "-wal")


class DiskError(InputError):
    """The file can't be used, and that is the disk's fault."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(_refusal(path, why))
        self.why = why


def _refusal(path: Path, why: str) -> str:
    what = f"alerts can't be kept there until they are delivered ({why})"
    return f"{path}: {what}; set alert.outbox.path to another file"


def open_file(path: Path) -> sqlite3.Connection:
    """Open the file, made when absent; one that is no outbox any more is put aside.

    Raises
    ------
    DiskError
        If the disk does not serve.
    InputError
        If another line uses it, it is of another version, or never was one.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _require_ours(path)
        return _connected(path)
    except OSError as exc:
        raise DiskError(path, exc.strerror or str(exc)) from exc
    except sqlite3.DatabaseError as exc:
        code = getattr(exc, "sqlite_errorcode", 0) & 0xFF  # One raised here has none.
        if code in _OF_THE_DISK:
            raise DiskError(path, str(exc)) from exc
        locked = code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
        raise InputError(_refusal(path, "another line uses it" if locked else str(exc))) from exc


def _require_ours(path: Path) -> None:
    """Refuse what somebody else has written there; what a disk loses of ours it makes zeros."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        begin = file.read(len(_MAGIC))
    if begin != _MAGIC[: len(begin)] and any(begin):
        raise InputError(_refusal(path, "it is a file of something else"))


def _connected(path: Path) -> sqlite3.Connection:
    """Open the file, made anew where it is damaged."""
    try:
        return _connect(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as exc:
        _log.error("alerts that waited can't be read", file=str(path), why=str(exc))
        put_aside(path)
        return _connect(path)


def open_spare(path: Path) -> sqlite3.Connection:
    """Open a file that is in memory, and is not to take much of it.

    Raises
    ------
    sqlite3.DatabaseError
        If that can't be done.
    """
    db = _connect(path)
    db.execute(f"PRAGMA max_page_count = {SPARE_BYTES // _PAGE_BYTES}")
    db.execute(f"PRAGMA wal_autocheckpoint = {_SPARE_LOG_PAGES}")
    return db


def in_memory() -> sqlite3.Connection:
    """Make an outbox that nobody else will ever see."""
    db = sqlite3.connect(":memory:", check_same_thread=False)
    db.executescript(_SCHEMA)
    return db


def read_into(db: sqlite3.Connection, path: Path, copy: Path) -> None:
    """Read a file that can't be opened where it is, with what its log holds; none holds nothing.

    Parameters
    ----------
    db : sqlite3.Connection
        Takes what is found.
    path : Path
    copy : Path
        Where it is copied to for that.

    Raises
    ------
    OSError
        If it can't be copied.
    sqlite3.DatabaseError
        If what was copied makes no sense.
    """
    remove(copy)
    try:
        for part in _PARTS:
            with suppress(FileNotFoundError, NotADirectoryError):
                shutil.copyfile(path.with_name(path.name + part), f"{copy}{part}")
        with closing(_connect(copy)) as found:
            found.backup(db)
    finally:
        remove(copy)


def is_sound(db: sqlite3.Connection) -> bool:
    """Whether all of it can be read."""
    try:
        return bool(db.execute("PRAGMA quick_check").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False


def readable_events(db: sqlite3.Connection, numbers: range) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield number and contents of each event that can still be read in a damaged file."""
    query = "SELECT id, kind, body FROM events WHERE number = ?"
    for number in numbers:
        try:
            row = db.execute(query, (number,)).fetchone()
        except sqlite3.DatabaseError:
            continue
        if row is not None:
            yield number, row


def put_aside(path: Path) -> None:
    """Keep a damaged file under another name, for whoever can still read something in it."""
    aside = path.with_name(f"{path.name}.damaged-{wall_ns() // 1_000_000_000}")
    with suppress(FileNotFoundError):
        path.rename(aside)
        _log.warning("damaged outbox is put aside", kept=str(aside))
    remove(path)


def remove(path: Path) -> None:
    """Remove a file that nobody has open, with what SQLite may have left beside it."""
    for part in (*_PARTS, "-shm"):
        with suppress(OSError):
            path.with_name(path.name + part).unlink(missing_ok=True)


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
