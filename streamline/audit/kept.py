"""The chain of a camera's evidence: what was stored, skipped and removed."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec
import structlog

from streamline.alert.events import utc
from streamline.audit.chain import Chain, Seal, lines_of
from streamline.audit.records import (
    Closed,
    Opened,
    RemovedEvidence,
    SkippedEvidence,
    StoredEvidence,
    decode_record,
    now,
)
from streamline.audit.runs import RunFolder, evidence_chain
from streamline.evidence.store import RECORD, Item, items_in
from streamline.messages import Pin

__all__ = ["EvidenceChain"]

_log = structlog.get_logger("streamline.audit")

_Told = StoredEvidence | SkippedEvidence | RemovedEvidence | Closed


_MOST: Final = 4096
"""Records that wait for the disk."""


class EvidenceChain:
    """Records what becomes of one camera's evidence; it may be told from several threads.

    What a full disk does not take waits: a frame that is gone without a record looks stolen.

    Parameters
    ----------
    run : RunFolder
    camera : str
    folder : Path
        Of the camera's evidence.
    on_lost : callable
        Called with the number of records that could not be written.

    Raises
    ------
    InputError
        If the chain is sealed with another key, or the key can't be read.
    """

    def __init__(
        self, run: RunFolder, camera: str, folder: Path, *, on_lost: Callable[[int], None]
    ) -> None:
        self._camera = camera
        self._on_lost = on_lost
        self._lock = Lock()
        self._fails = False
        self._waiting: list[_Told] = []
        self._chain: Chain = run.chain(evidence_chain(camera))
        if self._chain.resumed:
            self._find(folder, Seal.from_file(run.key_file))

    def stored(self, pin: Pin, digest: str) -> None:
        """Record a frame that is stored, by the SHA-256 of what tells of it; then sync."""
        item = self._place(pin.kind.item(pin.alert_id))
        self._write(StoredEvidence(item=item, kind=pin.kind, sha256=digest))
        # The frame itself was synced just before.
        with suppress(OSError):
            self._chain.sync()

    def skipped(self, pin: Pin, reason: str) -> None:
        """Record a frame that was to be stored and is not."""
        item = self._place(pin.kind.item(pin.alert_id))
        self._write(SkippedEvidence(item=item, kind=pin.kind, reason=reason))

    def removing(self, item: Item, reason: str) -> None:
        """Record a frame that is about to be removed."""
        place = self._place(item.name)
        self._write(RemovedEvidence(item=place, kind=item.kind, reason=reason))

    def close(self) -> None:
        """End the chain."""
        self._write(Closed(at=now()))
        if self._waiting:
            self._on_lost(len(self._waiting))
        with suppress(OSError):
            self._chain.close()

    def _place(self, name: str) -> str:
        return f"{self._camera}/{name}"

    def _write(self, record: _Told) -> None:
        with self._lock:
            self._waiting.append(record)
            if len(self._waiting) > _MOST:
                del self._waiting[0]
                self._chain.lose(1)
                self._on_lost(1)
            try:
                self._chain.append(self._waiting, kept=True)
            except OSError as exc:
                if not self._fails:
                    path = str(self._chain.path)
                    _log.error("evidence can't be recorded", path=path, why=exc.strerror)
                self._fails = True
            else:
                self._fails = False
                self._waiting.clear()

    def _find(self, folder: Path, seal: Seal) -> None:
        """Record what a predecessor had stored in this run, and did not come to say."""
        opened_at, told = _told_in(self._chain.path, seal)
        for item in items_in(folder):
            place = self._place(item.name)
            if place not in told and utc(item.written_ns) >= opened_at:
                record = (folder / item.name / RECORD).read_bytes()
                digest = hashlib.sha256(record).hexdigest()
                self._write(StoredEvidence(item=place, kind=item.kind, sha256=digest, found=True))


def _told_in(path: Path, seal: Seal) -> tuple[str, set[str]]:
    """Read when a chain was opened, and what it says is there."""
    opened_at, there = "", set()
    for line in lines_of(path, seal):
        with suppress(msgspec.MsgspecError):
            match decode_record(line.raw):
                case Opened(at=at):
                    opened_at = at
                case StoredEvidence(item=item):
                    there.add(item)
                case RemovedEvidence(item=item):
                    there.discard(item)
    return opened_at, there
