"""The alert stage's chain: what it records of its verdicts, without holding them up."""

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Thread
from typing import Final

import msgspec
import structlog

from streamline.alert.events import VerdictRecord
from streamline.alert.judge import CameraRule, Judgement
from streamline.alert.pins import PinLimit
from streamline.audit.chain import Chain
from streamline.audit.records import Closed, Counts, JudgedFrame, now
from streamline.audit.runs import VERDICTS, RunFolder
from streamline.config import RecordedPerMinute
from streamline.messages import PinKind

__all__ = ["VerdictChain"]

_log = structlog.get_logger("streamline.audit")

_SYNC_S: Final = 1.0
"""How often what has been written is brought to the disk: what a power cut can take."""


class VerdictChain:
    """Records verdicts, a batch with one write, in the thread that judges.

    No verdict waits for the disk: a thread of its own syncs the file once a second.  Records that
    can't be written are lost, and the next one that can says how many.

    Parameters
    ----------
    run : RunFolder
    rules : mapping of camera name to CameraRule
    per_minute : RecordedPerMinute
        How many of each kind are recorded, beside those that always are.
    on_lost : callable
        Called with the number of records that could not be written.

    Raises
    ------
    InputError
        If the chain is sealed with another key, or the key can't be read.
    """

    def __init__(
        self,
        run: RunFolder,
        rules: Mapping[str, CameraRule],
        per_minute: RecordedPerMinute,
        *,
        on_lost: Callable[[int], None],
    ) -> None:
        self._run = run
        self._on_lost = on_lost
        self._rules = rules
        rates = {
            PinKind.FAIL: per_minute.fails,
            PinKind.UNKNOWN: per_minute.unknowns,
            PinKind.PASS: per_minute.passes,
        }
        self._limit = PinLimit(rules, rates)
        self._chain: Chain = run.chain(VERDICTS)
        self._waiting: list[JudgedFrame] = []
        self._fails = False
        self._closing = Event()
        self._syncer = Thread(target=self._sync, name="audit-sync", daemon=True)
        self._syncer.start()

    @property
    def path(self) -> Path:
        """The chain's file."""
        return self._chain.path

    def wants(self, camera: str, kind: PinKind, judgement: Judgement) -> bool:
        """Whether one more verdict of a kind is recorded now; call it once a frame."""
        if judgement.event is not None:
            return True
        return self._limit.wants(kind) and self._limit.admits(camera, kind)

    def add(
        self,
        verdict: VerdictRecord,
        *,
        judgement: Judgement,
        evidence: str | None,
        counts: Counts,
    ) -> None:
        """Take a verdict, to be written with the next batch.

        Parameters
        ----------
        verdict : VerdictRecord
        judgement : Judgement
        evidence : str, optional
            Folder in which its source was asked to keep the frame, below the camera's.
        counts : Counts
            The camera's verdicts so far.
        """
        rule = self._rules[verdict.camera]
        self._waiting.append(
            JudgedFrame(
                **msgspec.structs.asdict(verdict),
                event=None if judgement.event is None else judgement.event.type,
                model=rule.model,
                calibration=rule.calibration,
                config=self._run.config,
                evidence=None if evidence is None else f"{verdict.camera}/{evidence}",
                counts=counts,
            )
        )

    def write(self) -> None:
        """Write what was taken since the last time."""
        if not self._waiting:
            return
        records, self._waiting = self._waiting, []
        try:
            self._chain.append(records)
        except OSError as exc:
            if not self._fails:
                _log.error("verdicts can't be recorded, those lost are counted", why=exc.strerror)
            self._fails = True
            self._on_lost(len(records))
        else:
            self._fails = False

    def close(self, counts: Mapping[str, Counts]) -> None:
        """Record what was judged in all, by camera, and end."""
        self.write()
        self._closing.set()
        self._syncer.join()
        try:
            self._chain.append([Closed(at=now(), counts=counts)])
            self._chain.close()
        except OSError as exc:
            _log.error("the end of the verdicts can't be recorded", why=exc.strerror)

    def _sync(self) -> None:
        synced, fails = None, False
        while not self._closing.wait(_SYNC_S):
            head = self._chain.head
            if head == synced:
                continue
            try:
                self._chain.sync()
            except OSError as exc:
                if not fails:
                    _log.error("the audit record can't be synced", why=exc.strerror)
                fails = True
            else:
                synced, fails = head, False
