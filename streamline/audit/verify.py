"""Check a run's record: its chains, its evidence, and the accounting law."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from streamline.audit.accounts import Books
from streamline.audit.chain import Seal
from streamline.audit.evidence import EvidenceBooks
from streamline.audit.reading import ChainReader, Findings, opened_of, require_run
from streamline.audit.records import Begun, Closed, Ended, HeadOf, JudgedFrame, Record
from streamline.audit.runs import LINE, VERDICTS, begun_of, evidence_chain, runs_in

__all__ = ["Verification", "evidence_root", "verify_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found."""

    run: str
    keyed: bool
    """Whether hashes need a key: without one, who can write the files can make them anew."""

    records: Mapping[str, int]
    """By chain."""

    evidence: int
    """Frames whose files were checked."""

    files: int
    faults: tuple[str, ...]
    """What can't be if the record is whole, each in one line."""

    notes: tuple[str, ...]
    """What the record itself says is missing, or went wrong in the run."""


def verify_run(folder: Path, seal: Seal, *, evidence: Path | None = None) -> Verification:
    """Check the record of one run.

    Parameters
    ----------
    folder : Path
        Of the run.
    seal : Seal
        With the key, if there is one.
    evidence : Path, optional
        Folder of all evidence, if it is not where the run had it.

    Raises
    ------
    InputError
        If the folder is none of a run, or its key is not given.
    """
    run = _Run(folder, seal)
    run.read()
    run.compare()
    root = evidence or evidence_root(folder, run.begun)
    if root is not None:
        run.evidence.look(root, folder, seal)
    return Verification(
        run=run.name,
        keyed=seal.keyed,
        records={name: reader.head.records for name, reader in run.readers.items()},
        evidence=len(run.evidence.there),
        files=run.evidence.files,
        faults=tuple(run.found.faults),
        notes=tuple(run.found.notes),
    )


def evidence_root(folder: Path, begun: Begun | None) -> Path | None:
    """Return the folder of all evidence of a run; None if that is not known."""
    return None if begun is None or not begun.evidence else folder / begun.evidence


class _Run:
    """A run's chains, read in one go."""

    def __init__(self, folder: Path, seal: Seal) -> None:
        self._folder = folder
        self._seal = seal
        self.found = Findings()
        paths = require_run(folder, seal)
        opened = opened_of(paths[LINE], seal)
        self.name = folder.name if opened is None else opened.run
        if seal.keyed and opened is not None and not opened.keyed:
            self.found.faults.append(f"{LINE}.jsonl: says that no key was used: it was made anew")
        self.readers = {
            name: ChainReader(path, seal, self.name, self.found)
            # The supervisor's first: the others are held against it.
            for name, path in sorted(paths.items(), key=lambda item: item[0] != LINE)
        }
        self.begun: Begun | None = None
        self._ended: Ended | None = None
        self._books: Books
        self.evidence = EvidenceBooks(self.found)

    def read(self) -> None:
        """Read every chain to its end."""
        self._read_line(self.readers[LINE].records())
        self._books = Books(self.begun, self.found)
        prefix = evidence_chain("")
        for name, reader in self.readers.items():
            if name == VERDICTS:
                self._read_verdicts(reader.records())
            elif name.startswith(prefix):
                for _, record in reader.records():
                    self.evidence.told(record, name.removeprefix(prefix))

    def compare(self) -> None:
        """Hold the chains against one another."""
        lost = self.readers[VERDICTS].lost if VERDICTS in self.readers else 0
        ended = self._ended
        if ended is None:
            what = "the run runs still, was killed, or its end was cut off"
            self.found.faults.append(f"{LINE}.jsonl: there is no end: {what}")
            self._compare_heads(*self._as_found_later())
        else:
            self._compare_heads(ended.chains, f"{LINE}.jsonl")
            self._books.close(ended, lost=lost)
            self.found.notes.extend(f"the run ended with: {fault}" for fault in ended.faults)
        self.evidence.compare(ended, lost=lost)

    def _read_line(self, records: Iterable[tuple[str, Record]]) -> None:
        for _, record in records:
            if isinstance(record, Begun):
                self.begun = record
            elif isinstance(record, Ended):
                self._ended = record
        if self.begun is None:
            self.found.faults.append(f"{LINE}.jsonl: there is no beginning")

    def _read_verdicts(self, records: Iterable[tuple[str, Record]]) -> None:
        for where, record in records:
            if isinstance(record, JudgedFrame):
                self._books.judged(record, where)
                self.evidence.judged(record)
            elif isinstance(record, Closed):
                self._books.closed(record)

    def _compare_heads(self, stated: Mapping[str, HeadOf], by: str) -> None:
        for name, head in stated.items():
            if name in self.readers:
                self.readers[name].compare(head, by)
            else:
                self.found.faults.append(f"{name}.jsonl: is missing, by {by}")
        for name in self.readers if stated else ():
            if name not in stated and name != LINE:
                self.found.faults.append(f"{name}.jsonl: is none of the run's, by {by}")

    def _as_found_later(self) -> tuple[Mapping[str, HeadOf], str]:
        """Return where the chains stood when the next run of the line began."""
        for other in runs_in(self._folder.parent):
            begun = begun_of(other, self._seal)
            if begun is not None and begun.previous and begun.previous.run == self.name:
                return begun.previous.chains, f"the run after it, {other.name}"
        return {}, ""
