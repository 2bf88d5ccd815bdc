"""Whole lines that keep evidence: bounded in rate and size, counted to the frame."""

import json
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.line import RunningLine, eventually, streamline
from tests.support.models import with_threshold

FRAMES = 60
"""Of the short clip."""

SHARE = 1_000_000
"""What a camera may take on the disk, bytes."""


@pytest.fixture(scope="module")
def calm(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whom every frame pleases."""
    return with_threshold(demo_model, tmp_path_factory.mktemp("calm") / "model", 1e6)


def write_pipeline(folder: Path, cameras: dict[str, Any], **evidence: object) -> Path:
    path = folder / "kept.yaml"
    document = {
        "version": 1,
        "cameras": cameras,
        "alert": {"k": 2, "n": 2, "sinks": []},
        "record": {
            "verdicts": "verdicts.jsonl",
            "evidence": {"path": "kept", "min_free_gb": 0, **evidence},
        },
        "metrics": {"port": 0},
    }
    path.write_text(json.dumps(document))
    return path


def kill_source(line: RunningLine) -> None:
    """SIGKILL the process that reads the camera, and wait until it is there again."""
    restarts = "streamline_worker_restarts_total"
    before = line.metric(restarts, worker="camera-belt")
    family = psutil.Process(line.pid).children(recursive=True)
    (victim,) = [child for child in family if child.name() == "sl:camera-belt"]
    victim.kill()
    eventually(lambda: line.metric(restarts, worker="camera-belt") > before, "it is restarted")


def by_camera(line: RunningLine, name: str, camera: str) -> float:
    """Sum of a series over all labels but the camera."""
    return sum(
        value
        for (series, labels), value in line.metrics().items()
        if series == name and ("camera", camera) in labels
    )


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_camera_whose_every_frame_fails_costs_the_line_no_frame(
    short_clip: Path, strict_model: Path, calm: Path, tmp_path: Path
) -> None:
    """Beside one whose every frame passes, on the same clip, as fast as it goes."""
    source = {"type": "video", "path": str(short_clip)}
    cameras = {
        "failing": {"source": source, "model": str(strict_model)},
        "passing": {"source": source, "model": str(calm)},
    }
    per_minute = {"begins": 60, "fails": 60, "passes": 60}
    pipeline = write_pipeline(tmp_path, cameras, max_gb=2 * SHARE / 1e9, per_minute=per_minute)
    done = streamline("run", pipeline, "--json", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    failing, passing = report["cameras"]["failing"], report["cameras"]["passing"]
    assert failing["judged"] == {"pass": 0, "fail": FRAMES, "unknown": 0}
    assert passing["judged"] == {"pass": FRAMES, "fail": 0, "unknown": 0}
    for camera in (failing, passing):
        assert camera["captured"] == FRAMES
        assert (camera["dropped"], camera["in_flight"]) == ({}, 0)
    # One a second, and what a bucket holds at the start.
    limit = report["duration_s"]
    assert 1 <= failing["evidence"] <= limit + 4
    assert 1 <= passing["evidence"] <= limit + 2
    print(f"{failing['evidence']} and {passing['evidence']} kept in {limit:.1f} s")  # noqa: T201
    for name in cameras:
        assert bytes_in(tmp_path / "kept" / name) <= SHARE


def test_every_fail_of_a_camera_is_stored_or_counted_as_skipped_also_when_it_is_killed(
    demo_clip: Path, strict_model: Path, tmp_path: Path
) -> None:
    """More than the disk may hold, more than is kept a minute, and three deaths."""
    source = {
        "type": "video",
        "path": str(demo_clip),
        "pace": 50,
        "loop": True,
    }  # More than is stored.
    camera = {"source": source, "model": str(strict_model), "queue": {"depth": 64}}
    pipeline = write_pipeline(
        tmp_path, {"belt": camera}, max_gb=SHARE / 1e9, per_minute={"fails": 6000}
    )
    folder = tmp_path / "kept" / "belt"
    stored = "streamline_evidence_stored_total"
    with RunningLine(pipeline, tmp_path) as line:
        line.await_ready()
        for _ in range(3):
            held = by_camera(line, stored, "belt")
            eventually(lambda: by_camera(line, stored, "belt") >= held + 5, "more is kept")  # noqa: B023
            kill_source(line)
        eventually(
            lambda: by_camera(line, "streamline_evidence_removed_total", "belt") > 3,
            "the oldest had to go",
        )
        held = by_camera(line, "streamline_frames_judged_total", "belt")
        eventually(
            lambda: by_camera(line, "streamline_frames_judged_total", "belt") > held + 5,
            "it goes on",
        )
        crashed = line.metric("streamline_evidence_skipped_total", camera="belt", reason="crashed")
        assert line.metric("streamline_evidence_bytes", camera="belt") <= SHARE
        line.stop()
        assert line.wait() == 0, line.log
        figures = line.report()["cameras"]["belt"]
    print(figures, f"{crashed:g} died with the camera")  # noqa: T201
    assert crashed > 0
    assert figures["judged"]["fail"] == figures["evidence"] + figures["evidence_skipped"]
    # The begin of the alert outlived all fails that came after it.
    records = [json.loads(path.read_text()) for path in folder.glob("*/alert.json")]
    (begin,) = [record for record in records if record["kind"] == "begin"]
    assert begin["alert"]["type"] == "new"
    fails = [record for record in records if record["kind"] == "fail"]
    assert fails
    assert {record["verdict"]["alert"] for record in fails} == {begin["alert"]["id"]}
    assert not list(folder.glob(".*"))
