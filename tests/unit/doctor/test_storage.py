"""Folders and disks are looked at, and nothing is written to them."""

import shutil
from pathlib import Path

import pytest

from streamline.config import Pipeline, load
from streamline.doctor.finding import Status
from streamline.doctor.storage import Writing, disks, places_of_line, room_in_memory, writable
from streamline.run.room import shared_memory_bytes
from tests.support.models import save_tiny_model

TEXT = """
version: 1
model: model
cameras: {a: usb:0, b: clip.mp4}
record: {evidence: {path: kept, max_gb: 3, min_free_gb: 2}, audit: proof, verdicts: logs/v.jsonl}
alert: {outbox: {path: box/out.db}, sinks: [{type: jsonl, path: told/alerts.jsonl}]}
infer: {batch: {max: 4}}
"""


@pytest.fixture
def line(tmp_path: Path) -> Pipeline:
    (tmp_path / "line.yaml").write_text(TEXT)
    save_tiny_model(tmp_path / "model")
    return load(tmp_path / "line.yaml")


def test_every_folder_that_a_line_writes_to_is_looked_at(line: Pipeline, tmp_path: Path) -> None:
    places = places_of_line(line)
    assert {place.folder.name for place in places} == {"box", "logs", "kept", "proof", "told"}
    (found,) = writable(places)
    assert (found.status, not (tmp_path / "kept").exists()) == (Status.OK, True)


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (found,) = writable([Writing("record.evidence", tmp_path / "file/evidence")])
    assert found.status is Status.FAIL
    assert f"{tmp_path}/file/evidence: this user may not write into {tmp_path}/file" in found.what


def test_a_disk_is_judged_by_all_that_is_written_to_it(tmp_path: Path) -> None:
    free_gb = shutil.disk_usage(tmp_path).free / 1e9
    half = Writing("one", tmp_path, 0.4 * free_gb)
    cases = {
        Status.OK: [half, half._replace(what="two")],
        Status.WARN: [half, half._replace(what="two"), half._replace(what="three")],
        Status.FAIL: [half, half._replace(keeps_free_gb=2 * free_gb)],
    }
    for status, places in cases.items():
        (found,) = disks(places)
        assert found.status is status, found


def test_shared_memory_is_what_queues_and_batches_take(line: Pipeline, tmp_path: Path) -> None:
    sizes = {"a": (64, 64), "b": (32, 48)}
    # A camera: its queue of 4 and a batch of 4; a file: six batches.
    shelves = (4 + 4) * 64 * 64 * 3 + (4 + 6 * 4) * 32 * 48 * 3
    glued = load(tmp_path / "line.yaml")
    (tmp_path / "line.yaml").write_text(TEXT + "links: {prepared: inproc}\n")
    without = load(tmp_path / "line.yaml")
    difference = shared_memory_bytes(glued, sizes) - shared_memory_bytes(without, sizes)
    assert difference == shelves
    (found,) = room_in_memory(line)
    assert found.status is Status.OK
