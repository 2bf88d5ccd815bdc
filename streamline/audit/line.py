"""What a line's supervisor records of a run: what it began with, and how it ended."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import structlog

from streamline.audit.chain import Chain, Seal
from streamline.audit.records import (
    Account,
    Begun,
    Ended,
    PreviousRun,
    RunCamera,
    RunInfer,
    RunRemoved,
    now,
)
from streamline.audit.runs import LINE, RunFolder, begun_of, heads_in, removable, remove, runs_in
from streamline.config import Audit, Camera, Pipeline, dump_effective
from streamline.errors import InputError
from streamline.machine import this_machine
from streamline.model import Calibration, Manifest

__all__ = ["LineRecord"]

_log = structlog.get_logger("streamline.audit")


class LineRecord:
    """The chain of a run's supervisor; makes the run's folder.

    Parameters
    ----------
    pipeline : Pipeline
    audit : Audit
        Its section.
    part : str, optional
        The stage that is run on its own, each part of a line with a record of its own.
    before : RunFolder, optional
        Of the same line, which was killed: its record is gone on with if it is still there.

    Raises
    ------
    InputError
        If the folder can't be written, or the key can't be read.
    """

    def __init__(
        self, pipeline: Pipeline, audit: Audit, part: str | None, before: RunFolder | None = None
    ) -> None:
        self._pipeline = pipeline
        self._audit = audit
        self._part = part
        self._seal = Seal.from_file(audit.key_file)
        self._earlier = [run for run in runs_in(audit.path) if self._is_ours(run)]
        self._text = dump_effective(pipeline)
        config = hashlib.sha256(self._text.encode()).hexdigest()
        self._goes_on = before is not None and before.folder in self._earlier
        self.run = (
            before
            if before is not None and self._goes_on
            else RunFolder.new(audit.path, config=config, key_file=audit.key_file)
        )
        self._chain: Chain = self.run.chain(LINE)

    def begin(
        self, models: Mapping[str, Manifest], calibrations: Mapping[str, Calibration]
    ) -> None:
        """Record what the run begins with, and what had to go of earlier runs' records.

        One that is gone on with has begun, and its chain says by itself that it was taken over.

        Raises
        ------
        InputError
            If it can't be written.
        """
        if self._goes_on:
            return
        infer = self._pipeline.infer
        evidence = self._pipeline.record.evidence
        begun = Begun(
            at=now(),
            line=self._pipeline.name,
            part=self._part,
            config=self.run.config,
            pipeline=self._text,
            cameras={
                name: _camera(camera, models[name], calibrations[name])
                for name, camera in self._pipeline.cameras.items()
            },
            infer=RunInfer(
                backend=infer.backend,
                device=infer.all_devices[0],
                precision=infer.precision,
                batch=infer.batch.max,
                others=infer.all_devices[1:],
            ),
            machine=this_machine(),
            evidence="" if evidence is None else os.path.relpath(evidence.path, self.run.folder),
            previous=self._previous(),
        )
        try:
            self._chain.append([begun])
            self._retain()
            self._chain.sync()
        except OSError as exc:
            msg = f"record.audit: {self.run.folder} can't be written ({exc.strerror}); make room"
            raise InputError(msg) from exc

    def end(self, cameras: Mapping[str, Account], alerts: int, faults: tuple[str, ...]) -> None:
        """Record how the run ended, once no other process of it writes any more."""
        heads = heads_in(self.run.folder, self._seal, but=[LINE])
        ended = Ended(at=now(), cameras=cameras, alerts=alerts, faults=faults, chains=heads)
        try:
            self._chain.append([ended])
            self._chain.sync()
        except OSError as exc:
            _log.error("the end of the run can't be recorded", why=exc.strerror)

    def close(self) -> None:
        """Give the file back."""
        try:
            self._chain.close()
        except OSError as exc:
            _log.error("the audit record can't be synced", why=exc.strerror)

    def _is_ours(self, run: Path) -> bool:
        begun = begun_of(run, self._seal)
        return begun is not None and (begun.line, begun.part) == (self._pipeline.name, self._part)

    def _previous(self) -> PreviousRun | None:
        if not self._earlier:
            return None
        latest = self._earlier[-1]
        return PreviousRun(run=latest.name, chains=heads_in(latest, self._seal))

    def _retain(self) -> None:
        """Remove the records of runs that are too old or too many; written first, then done."""
        limit = self._audit.max_gb * 1e9
        for run, why in removable(self._earlier, max_days=self._audit.max_days, max_bytes=limit):
            chains = heads_in(run, self._seal)
            self._chain.append([RunRemoved(run=run.name, reason=why, chains=chains)])
            remove(run)


def _camera(camera: Camera, model: Manifest, calibration: Calibration) -> RunCamera:
    return RunCamera(
        model=model.digest,
        calibration=calibration.digest,
        mask=() if calibration.mask is None else calibration.mask.polygons,
        model_path=str(camera.model.path),
        roi=camera.roi,
    )
