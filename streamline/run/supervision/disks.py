"""Disks of a pipeline file: whether a line could start with them just now."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from streamline.alert.outbox_file import DiskError
from streamline.alert.sinks import JsonLines
from streamline.config import JsonlSink, Pipeline
from streamline.errors import InputError
from streamline.run.placement import plan
from streamline.run.runtime import outbox_path

__all__ = ["require_disks"]

_RECORD_BYTES: Final = 1 << 16
"""Room for the first records of a run."""


def require_disks(pipeline: Pipeline, only: str | None) -> None:
    """Try to write wherever a line must be able to when it starts, and need not while it runs.

    A line lives on when its disk fails, and could not be started there.

    Parameters
    ----------
    pipeline : Pipeline
    only : str, optional
        The stage that is run on its own: what the others write is elsewhere.

    Raises
    ------
    InputError
        If a disk is read-only, gone, or too full to begin on.
    """
    stages = {stage for worker in plan(pipeline, only) for stage in worker.stages}
    for log in _logs(pipeline, stages):
        JsonLines(log).close()
    if "alert" in stages and pipeline.alert.sinks:
        _require_outbox(outbox_path(pipeline))
    if pipeline.record.audit is not None:
        _require_audit(pipeline.record.audit.path)


def _logs(pipeline: Pipeline, stages: set[str]) -> Iterator[Path]:
    record = pipeline.record
    if "alert" in stages:
        yield from (one.path for one in pipeline.alert.sinks if isinstance(one, JsonlSink))
    for stage, log in (("alert", record.verdicts), ("source", record.drops)):
        if stage in stages and log is not None:
            yield log


def _require_outbox(path: Path) -> None:
    """Look whether a file can be made beside it: it is the running line's own to open."""
    try:
        _write_beside(path.parent, 0)  # Alerts that a full disk does not take wait in memory.
    except OSError as exc:
        raise DiskError(path, exc.strerror or str(exc)) from exc


def _require_audit(folder: Path) -> None:
    try:
        _write_beside(folder, _RECORD_BYTES)
    except OSError as exc:
        msg = f"record.audit: {folder} can't be written ({exc.strerror}); make room"
        raise InputError(msg) from exc


def _write_beside(folder: Path, size: int) -> None:
    """Write a file that nobody sees, and that is gone again."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(size))
