"""Disks that fail under a running line: found before it is drained, and ends, for a new file."""

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from streamline.config import Pipeline, load
from streamline.errors import InputError
from streamline.run.supervision.disks import require_disks
from streamline.run.supervision.herald import Herald
from streamline.run.supervision.line import Renewal
from streamline.run.supervision.manager import ServiceManager
from tests.support.disks import require_disk, small_disk
from tests.support.models import save_tiny_model

WRITING: dict[str, dict[str, Any]] = {
    "o.db": {"alert": {"sinks": [{"type": "log"}], "outbox": {"path": "disk/o.db"}}},
    "a.jsonl": {
        "alert": {
            "sinks": [{"type": "jsonl", "path": "disk/a.jsonl"}],
            "outbox": {"path": "o.db"},
        }
    },
    "v.jsonl": {"record": {"verdicts": "disk/v.jsonl"}},
    "d.jsonl": {"record": {"drops": "disk/d.jsonl"}},
    "runs": {"record": {"audit": "disk/runs", "evidence": "kept"}},
}
"""What may lie on the disk, and the pipeline files that have it there."""


def written(folder: Path, writing: dict[str, Any]) -> Pipeline:
    """A line that writes to a disk of its own."""
    path = folder / "line.yaml"
    cameras = {"left": "demo://inspect"}
    path.write_text(json.dumps({"version": 1, "model": "m", "cameras": cameras, **writing}))
    return load(path)


@pytest.mark.parametrize("name", WRITING)
def test_a_disk_that_turned_read_only_ends_no_line_that_is_to_be_reloaded(
    tmp_path: Path, name: str
) -> None:
    require_disk(tmp_path / "probe")
    save_tiny_model(tmp_path / "m")
    line = written(tmp_path, WRITING[name])
    renewal = Renewal(Herald(ServiceManager()), line, lambda: line)
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        with disk.read_only(), capture_logs() as logs:
            assert renewal() is None
        (why,) = [str(one["why"]) for one in logs if "why" in one]
        assert "Read-only file system" in why
        assert name in why
        assert renewal() is line


def test_on_a_full_disk_only_what_is_to_begin_there_is_refused(tmp_path: Path) -> None:
    require_disk(tmp_path / "probe")
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        disk.fill()
        for name in ("o.db", "a.jsonl", "v.jsonl", "d.jsonl"):
            require_disks(written(tmp_path, WRITING[name]), None)
        with pytest.raises(InputError, match=r"runs can't be written \(No space left.*\); make"):
            require_disks(written(tmp_path, WRITING["runs"]), None)


@pytest.mark.parametrize(
    ("name", "stage", "other"),
    [
        ("o.db", "alert", "source"),
        ("a.jsonl", "alert", "source"),
        ("v.jsonl", "alert", "source"),
        ("d.jsonl", "source", "alert"),
    ],
)
def test_a_part_of_a_line_asks_for_no_disk_of_another_s(
    tmp_path: Path, name: str, stage: str, other: str
) -> None:
    (tmp_path / "disk").write_text("no folder")
    links = {"frames": "tcp://127.0.0.1:5001", "telemetry": "tcp://127.0.0.1:5002"}
    line = written(tmp_path, {**WRITING[name], "links": links})
    require_disks(line, other)
    with pytest.raises(InputError, match=name):
        require_disks(line, stage)
