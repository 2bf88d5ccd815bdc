"""A file of records of which none can be changed, removed or moved without a trace.

Each record is one line, a JSON object.  Its first keys are its number ``n`` and the hash ``prev``
of the record before it; its last is ``hash``, of everything in front of that.  The hash is SHA-256,
or HMAC-SHA256 (RFC 2104) with a key: without a key, who may write the file can make it anew from
any record on, and only a copy of a later hash that is kept elsewhere tells.
"""

import errno
import hashlib
import hmac
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from streamline.audit.records import Gap, Link, Opened, Record, Resumed, now
from streamline.errors import InputError

__all__ = ["NOTHING", "Chain", "Head", "Line", "Seal", "head_of", "lines_of"]

NOTHING: Final = "0" * 64
"""What the first record names as the hash of the one before it."""

LONGEST: Final = 1 << 20
"""Bytes of a record at most; the longest holds a pipeline file."""

_HASH: Final = b',"hash":"'
_END: Final = b'"}'
_SUFFIX: Final = len(_HASH) + 64 + len(_END)

_encode = msgspec.json.Encoder().encode
_decode_link = msgspec.json.Decoder(Link).decode


class Seal:
    """How the hashes of a chain are computed.

    Parameters
    ----------
    key : bytes, optional
        Makes them HMACs, which nobody without the key can compute.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self.keyed = key is not None
        self._begin: Callable[[bytes], bytes] = (
            (lambda body: hashlib.sha256(body).digest())
            if key is None
            else (lambda body: hmac.digest(key, body, "sha256"))
        )

    @classmethod
    def from_file(cls, path: Path | None) -> "Seal":
        """Take the key that a file holds, without white space around it; None: no key.

        Raises
        ------
        InputError
            If the file can't be read, or its key is shorter than 16 bytes.
        """
        if path is None:
            return cls()
        try:
            key = path.read_bytes().strip()
        except OSError as exc:
            msg = f"the key {path} can't be read ({exc.strerror}); give the file of the audit's key"
            raise InputError(msg) from exc
        if len(key) < 16:
            msg = f"the key in {path} is shorter than 16 bytes; make one: openssl rand -hex 32"
            raise InputError(msg)
        return cls(key)

    def __call__(self, body: bytes) -> str:
        """Return the hash of a record's bytes, hexadecimal."""
        return self._begin(body).hex()


class Head(NamedTuple):
    """Where a chain stands."""

    records: int
    hash: str
    """Of the last record."""


_EMPTY: Final = Head(0, NOTHING)


class Line(NamedTuple):
    """One line of a chain, looked at by itself."""

    raw: bytes
    """Without the line break."""

    link: Link | None
    """Its number and hashes; None if it has none."""

    sound: bool
    """Whether its hash fits what it says."""


class Chain:
    """Appends records to one chain; it has this one writer.

    What a killed predecessor has left half written is cut off, and the chain says so.  Records are
    in the kernel's hands when `append` returns, whatever then happens to the process; on the disk
    they are after `sync`.  A file that can't be opened for writing just now, on a disk that is full
    or read-only, is tried again with every record.

    Parameters
    ----------
    path : Path
    opened : Opened
        Its first record, if it is new.
    seal : Seal

    Raises
    ------
    InputError
        If the file holds no sound record, as under another key.
    """

    def __init__(self, path: Path, opened: Opened, seal: Seal) -> None:
        self.path = path
        self.resumed = False
        """Whether somebody wrote it before."""

        self._opened = opened
        self._seal = seal
        self._lost = 0
        self._head, self._size = _EMPTY, 0
        self._first: list[Record] = []
        self._fd: int | None = None
        with suppress(OSError):
            self.resumed = path.exists()
            self._open()
            self.append([])

    @property
    def head(self) -> Head:
        """Where it stands."""
        return self._head

    def _open(self) -> int:
        """Find the end of what is sound, and what to say before anything else."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._head, self._size, resumed = self._left_in(fd)
        except BaseException:
            os.close(fd)
            raise
        self._first = [*([] if self._head.records else [self._opened]), *resumed]
        self._fd = fd
        return fd

    def _open_late(self) -> int:
        """Open what could not be opened at first; records that another key seals are not ours."""
        try:
            return self._open()
        except InputError as exc:
            raise OSError(errno.EBADMSG, str(exc)) from exc

    def _left_in(self, fd: int) -> tuple[Head, int, list[Resumed]]:
        """Return the head of what is sound, its bytes, and what to say of a predecessor."""
        size = os.fstat(fd).st_size
        head, sound = _sound_part(fd, size, self._seal)
        cut = os.pread(fd, min(size - sound, LONGEST), sound)
        if not head.records and b"\n" in cut:
            msg = f"record.audit: no record in {self.path} is sound; give another path, or its key"
            raise InputError(msg)
        digest = hashlib.sha256(cut).hexdigest() if cut else None
        resumed = Resumed(at=now(), cut_bytes=size - sound, cut_sha256=digest)
        return head, sound, [resumed] if size else []

    def append(self, records: Sequence[Record], *, kept: bool = False) -> None:
        """Write records, all or none.

        Parameters
        ----------
        records : sequence of Record
        kept : bool
            Whether those that can't be written are brought again.

        Raises
        ------
        OSError
            If they can't be written; unless they are kept, the next ones that can begin by saying
            how many are missing.
        """
        missing = 0 if kept else len(records)
        try:
            fd = self._open_late() if self._fd is None else self._fd
            gap = [Gap(at=now(), lost=self._lost)] if self._lost else []
            head, lines = self._head, bytearray()
            for record in (*self._first, *gap, *records):
                head, line = _sealed(head, record, self._seal)
                lines += line
            try:
                # Of what a killed or failed write has left, nothing may stand behind the new ones.
                os.ftruncate(fd, self._size)
                _write_all(fd, lines, self._size)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(fd, self._size)
                raise
        except OSError:
            self._lost += missing
            raise
        self._head, self._lost = head, 0
        self._first.clear()
        self._size += len(lines)

    def lose(self, count: int) -> None:
        """Give up records that were kept: the next that can be written say how many."""
        self._lost += count

    def sync(self) -> None:
        """Wait until everything is on the disk; other threads may append meanwhile."""
        if self._fd is not None:
            os.fsync(self._fd)

    def close(self) -> None:
        """Sync and close."""
        try:
            self.sync()
        finally:
            if self._fd is not None:
                os.close(self._fd)


def lines_of(path: Path, seal: Seal) -> Iterator[Line]:
    """Read a chain line by line; whether they follow one another is for the reader to see.

    Raises
    ------
    OSError
        If the file can't be read.
    """
    with path.open("rb") as file:
        while raw := file.readline(LONGEST):
            yield (
                _looked_at(raw.removesuffix(b"\n"), seal)
                if raw.endswith(b"\n")
                else Line(raw, None, sound=False)
            )


def head_of(path: Path, seal: Seal) -> Head:
    """Return where a chain that nobody writes stands; what is not sound at its end is left out.

    Raises
    ------
    OSError
        If the file can't be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _sound_part(descriptor, os.fstat(descriptor).st_size, seal)[0]
    finally:
        os.close(descriptor)


def _sealed(head: Head, record: Record, seal: Seal) -> tuple[Head, bytes]:
    start = b'{"n":%d,"prev":"%s",' % (head.records, head.hash.encode())
    body = start + _encode(record)[1:-1]
    digest = seal(body)
    return Head(head.records + 1, digest), body + _HASH + digest.encode() + _END + b"\n"


def _looked_at(raw: bytes, seal: Seal) -> Line:
    body, suffix = raw[:-_SUFFIX], raw[-_SUFFIX:]
    try:
        link = _decode_link(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Line(raw, None, sound=False)
    fits = suffix == _HASH + seal(body).encode() + _END
    return Line(raw, link, sound=fits)


def _sound_part(descriptor: int, size: int, seal: Seal) -> tuple[Head, int]:
    """Return the head of what is sound, and its bytes."""
    first = max(0, size - 2 * LONGEST)
    tail = os.pread(descriptor, size - first, first)
    end = tail.rfind(b"\n") + 1
    while end:
        begin = tail.rfind(b"\n", 0, end - 1) + 1
        line = _looked_at(tail[begin : end - 1], seal)
        if line.sound and line.link is not None:
            return Head(line.link.n + 1, line.link.hash), first + end
        end = begin
    return _EMPTY, 0


def _write_all(descriptor: int, data: bytes | bytearray, place: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, place)
        view, place = view[written:], place + written
