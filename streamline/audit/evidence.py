"""Hold the evidence on the disk against what a run's chains say of it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from streamline.alert.events import EventType
from streamline.audit.chain import Seal, lines_of
from streamline.audit.reading import Findings
from streamline.audit.records import (
    Ended,
    JudgedFrame,
    RemovedEvidence,
    SkippedEvidence,
    StoredEvidence,
    decode_record,
)
from streamline.audit.runs import chain_paths, evidence_chain, runs_in
from streamline.evidence.store import RECORD
from streamline.messages import PinKind

__all__ = ["EvidenceBooks", "ItemRecord", "Said", "read_item_record"]


class _Frame(msgspec.Struct):
    camera: str
    incarnation: int
    seq: int


class Said(msgspec.Struct):
    """As much of a verdict or an alert's event as a score is held against."""

    score: float | None
    threshold: float


class ItemRecord(msgspec.Struct):
    """As much of an item's ``alert.json`` as is checked and computed again."""

    kind: PinKind
    frame: _Frame
    sha256: dict[str, str]
    """Of each other file, by name."""

    picture: "ItemPicture"
    verdict: Said | None = None
    alert: Said | None = None

    @property
    def said(self) -> Said | None:
        """What was made of the frame."""
        return self.alert or self.verdict


class ItemPicture(msgspec.Struct):
    """What its files show."""

    roi: tuple[int, int, int, int] | None


def read_item_record(data: bytes) -> ItemRecord:
    """Read an ``alert.json``.

    Raises
    ------
    msgspec.MsgspecError
        If it is none.
    """
    return msgspec.json.decode(data, type=ItemRecord)


class EvidenceBooks:
    """Follows what was asked for, stored, skipped and removed; then looks at the disk.

    Parameters
    ----------
    found : Findings
    """

    def __init__(self, found: Findings) -> None:
        self._found = found
        self._asked: dict[str, JudgedFrame] = {}
        self.stored: dict[str, StoredEvidence] = {}
        self._skipped: dict[str, SkippedEvidence] = {}
        self._removed: dict[str, str] = {}
        """Why, by item."""

        self._cameras: set[str] = set()
        self.files = 0
        """Files that were checked."""

    @property
    def there(self) -> list[str]:
        """Items that should be on the disk, but for what later runs removed."""
        return [item for item in self.stored if item not in self._removed]

    def judged(self, frame: JudgedFrame) -> None:
        """Take the next recorded verdict."""
        if frame.evidence is not None:
            self._asked[frame.evidence] = frame
        elif frame.event is EventType.NEW:
            what = f"alert {frame.alert} began without evidence: too many began at once"
            self._found.notes.append(what)

    def told(self, record: object, camera: str) -> None:
        """Take the next record of a camera's chain."""
        self._cameras.add(camera)
        match record:
            case StoredEvidence():
                self.stored[record.item] = record
                self._removed.pop(record.item, None)
            case SkippedEvidence():
                self._skipped[record.item] = record
            case RemovedEvidence():
                self._removed[record.item] = record.reason

    def compare(self, ended: Ended | None, *, lost: int) -> None:
        """Hold what was asked for against what was done."""
        for item, frame in self._asked.items():
            if item in self._skipped and frame.event is EventType.NEW:
                why = self._skipped[item].reason
                self._found.notes.append(f"alert {frame.alert} has no evidence: skipped, {why}")
        for item in self.stored if not lost and self._asked else ():
            if item not in self._asked:
                self._fault(item, "was stored, and no verdict asks for it")
        self._count_unheard(ended)

    def look(self, root: Path, run: Path, seal: Seal) -> None:
        """Look at the disk.

        Parameters
        ----------
        root : Path
            Folder of all evidence.
        run : Path
            Folder of the run.
        seal : Seal
        """
        gone = [item for item in self.there if not (root / item / RECORD).exists()]
        later = _removed_later(run, seal) if gone else {}
        for item in self.there:
            if item not in gone:
                self._look_at(item, root / item)
            elif item not in later:
                self._fault(item, "is missing, and no record says that it was removed")
        self._tell_removed({**later, **self._removed})

    def _look_at(self, item: str, folder: Path) -> None:
        data = (folder / RECORD).read_bytes()
        if hashlib.sha256(data).hexdigest() != self.stored[item].sha256:
            self._fault(item, f"{RECORD} was changed")
            return
        record = read_item_record(data)
        self.files += 1
        for name, digest in record.sha256.items():
            self.files += 1
            path = folder / name
            if not path.exists():
                self._fault(item, f"{name} is missing")
            elif _sha256(path) != digest:
                self._fault(item, f"{name} was changed")
        asked = self._asked.get(item)
        if asked is not None and not _same(record, asked):
            self._fault(item, "tells another frame or score than its verdict")

    def _count_unheard(self, ended: Ended | None) -> None:
        """Count, by camera, what was asked for and neither stored nor skipped by its chain."""
        unheard: dict[str, list[str]] = {}
        for item, frame in self._asked.items():
            if item not in self.stored and item not in self._skipped:
                unheard.setdefault(frame.camera, []).append(item)
        for camera, items in unheard.items():
            if camera not in self._cameras:
                what = "its evidence is recorded where its source runs"
            elif ended is None or len(items) <= ended.cameras[camera].evidence_skipped:
                what = (
                    f"{len(items)} frames that were to be kept died with its source, or came late"
                )
            else:
                for item in items:
                    self._fault(item, "was asked for, and nothing tells what became of it")
                continue
            self._found.notes.append(f"camera {camera}: {what}")

    def _tell_removed(self, removed: Mapping[str, str]) -> None:
        reasons = [reason for item, reason in removed.items() if item in self.stored]
        for reason in sorted(set(reasons)):
            count = reasons.count(reason)
            self._found.notes.append(f"{count} stored frames had to go since ({reason})")

    def _fault(self, item: str, what: str) -> None:
        self._found.faults.append(f"evidence {item}: {what}")


def _same(record: ItemRecord, frame: JudgedFrame) -> bool:
    same_frame = (record.frame.camera, record.frame.incarnation, record.frame.seq) == (
        frame.camera,
        frame.incarnation,
        frame.seq,
    )
    return same_frame and record.said is not None and record.said.score == frame.score


def _removed_later(run: Path, seal: Seal) -> dict[str, str]:
    """Read what later runs beside this one removed of earlier evidence, and why."""
    found = {}
    for other in runs_in(run.parent):
        if other.name <= run.name:
            continue
        for name, path in chain_paths(other).items():
            if name.startswith(evidence_chain("")):
                found.update(_removed_in(path, seal))
    return found


def _removed_in(path: Path, seal: Seal) -> dict[str, str]:
    lines = (line for line in lines_of(path, seal) if line.sound)
    records = (decode_record(line.raw) for line in lines)
    return {one.item: one.reason for one in records if isinstance(one, RemovedEvidence)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
