"""The files of lines that are measured."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from streamline.bench import line_of_clip, line_of_file
from streamline.bench.loads import write_load
from streamline.config import JsonlSink, QueuePolicy, VideoSource, load
from streamline.errors import ConfigError, InputError


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A file that is there; nothing here opens it."""
    path = tmp_path / "clip.mp4"
    path.touch()
    return path


def write_line(folder: Path, cameras: Mapping[str, object], **sections: object) -> Path:
    path = folder / "mine.yaml"
    path.write_text(json.dumps({"version": 1, "cameras": cameras, **sections}))
    return path


def test_cameras_are_those_of_the_line_in_turn_at_the_pace_that_is_asked_for(
    clip: Path, model: Path, tmp_path: Path
) -> None:
    cameras = {
        "left": {"source": {"type": "video", "path": str(clip), "pace": 5}, "roi": [0, 0, 64, 64]},
        "right": str(clip),
    }
    path = write_line(tmp_path, cameras, model=str(model), infer={"max_fps": 7})
    written = load(write_load(line_of_file(path), tmp_path, cameras=3, pace=12.5))
    assert [camera.roi is None for camera in written.cameras.values()] == [False, True, False]
    for camera in written.cameras.values():
        assert camera.source == VideoSource(path=clip, pace=12.5, loop=True)
        assert camera.queue.policy is QueuePolicy.DROP_OLDEST
        assert camera.model.path == model
    assert written.infer.max_fps == 7


def test_as_fast_as_possible_nothing_is_dropped(clip: Path, model: Path, tmp_path: Path) -> None:
    like = line_of_clip(str(clip), model, tmp_path)
    written = load(write_load(like, tmp_path, cameras=1, pace="max"))
    (camera,) = written.cameras.values()
    assert (camera.source.live, camera.queue.policy) == (False, QueuePolicy.BLOCK)


def test_nobody_is_told_and_nothing_is_written_elsewhere(
    clip: Path, model: Path, tmp_path: Path
) -> None:
    alerts, verdicts, evidence = tmp_path / "a.jsonl", tmp_path / "v.jsonl", tmp_path / "e"
    path = write_line(
        tmp_path,
        {"left": str(clip)},
        model=str(model),
        alert={"k": 2, "n": 3, "sinks": [{"type": "jsonl", "path": str(alerts)}]},
        record={"verdicts": str(verdicts), "evidence": {"path": str(evidence), "max_gb": 2}},
        links={"prepared": "tcp://127.0.0.1:5601", "telemetry": "tcp://127.0.0.1:5602"},
        metrics={"port": 9464},
    )
    given = line_of_file(path)
    assert given.alert.sinks == (JsonlSink(path=alerts),)
    (tmp_path / "rig").mkdir()
    written = load(write_load(given, tmp_path / "rig", cameras=1, pace=1.0))
    assert written.alert.sinks == ()
    assert (written.alert.k, written.cameras["c0"].alert.k) == (2, 2)
    assert written.record.verdicts == tmp_path / "rig" / "verdicts.jsonl"
    assert written.record.drops is None
    assert written.record.evidence is not None
    assert written.record.evidence.path == tmp_path / "rig" / "evidence"
    assert written.record.evidence.max_gb == 2
    assert (written.links.prepared, written.links.telemetry) == ("ipc", None)
    assert written.metrics.port == 0


def test_cameras_are_refused_without_their_password(model: Path, tmp_path: Path) -> None:
    url = "rtsp://user:secret@127.0.0.1/stream"
    with pytest.raises(InputError, match="give files") as refused:
        line_of_clip(url, model, tmp_path)
    assert "secret" not in str(refused.value)
    path = write_line(tmp_path, {"left": url}, model=str(model))
    with pytest.raises(InputError, match=r"camera 'left'.*give files") as refused:
        line_of_file(path)
    assert "secret" not in str(refused.value)


def test_what_is_not_there_is_named(clip: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.mp4"):
        line_of_clip(str(tmp_path / "none.mp4"), model, tmp_path)
    with pytest.raises(InputError, match=r"no model at .*nowhere"):
        line_of_clip(str(clip), tmp_path / "nowhere", tmp_path)
    with pytest.raises(ConfigError, match=r"mine\.yaml:1.*none"):
        line_of_file(write_line(tmp_path, {"a": str(tmp_path / "none")}, model=str(model)))
