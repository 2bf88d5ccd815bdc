"""A line whose cameras see nothing, or are too slow: unknown, never pass, and it says why."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.clips import encode
from tests.support.line import RunningLine, eventually, json_lines
from tests.support.models import save_light_model


@pytest.fixture
def covered(tmp_path: Path) -> Path:
    """A clip of a camera with its cap on: noise on black."""
    rng = np.random.default_rng(0)
    frames = (rng.integers(0, 8, (64, 64, 3)).astype(np.uint8) for _ in range(50))
    return encode(frames, tmp_path / "covered.mp4")


def pipeline(folder: Path, covered: Path) -> Path:
    """One camera that is covered, one whose verdicts are always late, one without a worry."""
    model = folder / "model"
    save_light_model(model)
    cameras = {
        "covered": {"type": "video", "path": str(covered), "pace": "native", "loop": True},
        "hasty": {"type": "demo", "part": "normal", "pace": 25, "loop": True},
        "well": {"type": "demo", "part": "normal", "pace": 25, "loop": True},
    }
    document = {
        "version": 1,
        "model": str(model),
        "cameras": {name: {"source": source} for name, source in cameras.items()},
        "record": {"verdicts": str(folder / "verdicts.jsonl")},
        "alert": {"k": 1, "n": 1},
        "metrics": {"port": 0},
    }
    document["cameras"]["hasty"]["deadline_ms"] = 0.001  # type: ignore[index]
    path = folder / "scene.yaml"
    path.write_text(json.dumps(document))
    return path


def test_a_covered_camera_and_a_missed_deadline_are_unknown_with_their_reason(
    tmp_path: Path, covered: Path
) -> None:
    with RunningLine(pipeline(tmp_path, covered), tmp_path) as line:
        line.await_ready()

        def unknown(camera: str, reason: str) -> float:
            return line.metric("streamline_frames_unknown_total", camera=camera, reason=reason)

        eventually(lambda: unknown("covered", "black") > 30, "covered frames are judged")
        eventually(lambda: unknown("hasty", "late") > 30, "late frames are counted")
        state = {"camera": "covered", "state": "unusable"}
        eventually(lambda: line.metric("streamline_camera_state", **state) == 1, "its state")
        well = {"camera": "well", "state": "ok"}
        eventually(lambda: line.metric("streamline_camera_state", **well) == 1, "another's state")
        told = json.loads(line.get("/healthz")[1])["cameras"]
        assert (told["covered"]["state"], told["covered"]["reason"]) == ("unusable", "black")
        assert told["well"]["state"] == "ok"
        assert line.metric("streamline_scene_state", camera="covered", check="black") == 1
        assert line.metric("streamline_scene_state", camera="well", check="black") == 0
        line.stop()
        assert line.wait() == 0
    cameras = line.report()["cameras"]
    for name, reason in (("covered", "black"), ("hasty", "late")):
        judged = cameras[name]["judged"]
        assert judged["unknown"] > 30
        assert (judged["pass"], judged["fail"]) == (0, 0)
        log = [x for x in json_lines(tmp_path / "verdicts.jsonl") if x["camera"] == name]
        assert {(x["verdict"], x["reason"]) for x in log} == {("unknown", reason)}
    assert cameras["well"]["judged"]["unknown"] == 0
    assert line.log.count("the picture is black; check the light and the lens cap first") == 1
