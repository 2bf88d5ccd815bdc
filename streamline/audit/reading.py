"""Read a run's chains, and find what was done to them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from streamline.audit.chain import NOTHING, Head, Line, Seal, lines_of
from streamline.audit.records import (
    AUDIT_VERSION,
    Gap,
    HeadOf,
    Link,
    Opened,
    Record,
    Resumed,
    decode_record,
)
from streamline.audit.runs import LINE, chain_paths
from streamline.errors import InputError

__all__ = ["ChainReader", "Findings", "opened_of", "require_run"]


@dataclass(slots=True)
class Findings:
    """What a reader of a record should know."""

    faults: list[str] = field(default_factory=list)
    """What can't be if the record is whole."""

    notes: list[str] = field(default_factory=list)
    """What the record itself says is missing or went wrong."""


class ChainReader:
    """Reads one chain from its beginning to its end, once.

    Parameters
    ----------
    path : Path
    seal : Seal
    run : str
        That it must belong to.
    found : Findings
        Faults are added to it, each with file and line.
    """

    def __init__(self, path: Path, seal: Seal, run: str, found: Findings) -> None:
        self._path = path
        self._seal = seal
        self._run = run
        self._found = found
        self._next = 0
        self._prev: str | None = NOTHING
        """None where it is not known: the record before was changed."""

        self._spoilt = False
        self.lost = 0
        """Records that its writer could not write."""

    @property
    def head(self) -> Head:
        """Where it ends."""
        return Head(self._next, self._prev or "")

    def records(self) -> Iterator[tuple[str, Record]]:
        """Yield the records that are sound, each with its file and line."""
        for number, line in enumerate(lines_of(self._path, self._seal), start=1):
            where = f"{self._path.name}:{number}"
            if not line.sound or line.link is None:
                self._pass_over(line, where)
                continue
            self._tie(line.link, where)
            try:
                record = decode_record(line.raw)
            except msgspec.MsgspecError:
                self._fault(f"{where}: this release can't read the record")
                continue
            self._note(record, where)
            yield where, record

    def compare(self, stated: HeadOf, by: str) -> None:
        """Hold its end against what another chain says of it."""
        head, name = self.head, self._path.name
        if head.records < stated.records:
            span = _span(head.records, stated.records - 1)
            self._fault(f"{name}: {span} at its end, by {by}")
        elif head.records > stated.records:
            self._fault(f"{name}: has {head.records} records, and {stated.records} by {by}")
        elif head.hash != stated.hash and not self._spoilt:
            self._fault(f"{name}: does not end with the record that {by} names")

    def _pass_over(self, line: Line, where: str) -> None:
        what = "its hash does not fit what it says: it was changed"
        if line.link is None:
            what = "is no whole record: it was changed or cut short"
        self._fault(f"{where}: {what}")
        self._next += 1
        self._prev = None

    def _tie(self, link: Link, where: str) -> None:
        """See whether a sound record follows the one before it."""
        if link.n > self._next:
            self._fault(f"{where}: {_span(self._next, link.n - 1)} before it")
        elif link.n < self._next:
            self._fault(f"{where}: is record {link.n} in the wrong place: moved or repeated")
            self._prev = None
            return
        elif self._prev is not None and link.prev != self._prev:
            self._fault(f"{where}: the record before it is not the one that it was written after")
        self._next, self._prev = link.n + 1, link.hash

    def _note(self, record: Record, where: str) -> None:
        match record:
            case Opened() if record.run != self._run or record.chain != self._path.stem:
                self._fault(f"{where}: belongs to {record.chain} of run {record.run}")
            case Resumed(cut_bytes=0):
                self._found.notes.append(f"{where}: its process died, and another went on")
            case Resumed():
                cut = f"a half-written record of {record.cut_bytes} bytes was cut off"
                self._found.notes.append(f"{where}: its process died, and another went on; {cut}")
            case Gap():
                self.lost += record.lost
                what = f"{record.lost} records could not be written before it"
                self._found.notes.append(f"{where}: {what}")

    def _fault(self, what: str) -> None:
        self._spoilt = True
        self._found.faults.append(what)


def require_run(folder: Path, seal: Seal) -> Mapping[str, Path]:
    """Return the chains of a run by name.

    Raises
    ------
    InputError
        If the folder is none of a run, it is of another version, or its key is not given.
    """
    paths = chain_paths(folder)
    opened = opened_of(paths[LINE], seal) if LINE in paths else None
    what = ""
    if LINE not in paths:
        what = f"is no folder of a run: it has no {LINE}.jsonl; give one below record.audit"
    elif opened is not None and opened.version != AUDIT_VERSION:
        what = f"is of version {opened.version}; verify it with the release that wrote it"
    elif opened is not None and opened.keyed and not seal.keyed:
        what = "is sealed with a key; give the file that record.audit.key_file names with --key"
    if what:
        msg = f"{folder} {what}"
        raise InputError(msg)
    return paths


def opened_of(path: Path, seal: Seal) -> Opened | None:
    """Return what a chain began with, sound or not; None if that can't be read."""
    try:
        record = decode_record(next(lines_of(path, seal)).raw)
    except (StopIteration, OSError, msgspec.MsgspecError):
        return None
    return record if isinstance(record, Opened) else None


def _span(first: int, last: int) -> str:
    if first == last:
        return f"record {first} is missing"
    return f"records {first} to {last} are missing"
