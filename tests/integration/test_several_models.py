"""Lines whose cameras have different models, and processes that cameras share."""

import json
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import psutil
import pytest

from streamline.learn import FitSettings, fit_frames
from streamline.model import save_model
from tests.support.line import RunningLine, eventually, json_lines
from tests.support.parts import parts


@pytest.fixture(scope="module")
def models(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The line's own, one of another product, and one of that product on other layers."""
    folder = tmp_path_factory.mktemp("several")
    for name, layers in (("other", ("block4", "block5")), ("layers", ("block3", "block5"))):
        settings = replace(FitSettings(), score_layers=layers)
        save_model(fit_frames(parts(16, seed=1), settings, source=name).model, folder / name)
    return {"own": demo_model, "other": folder / "other", "layers": folder / "layers"}


def write_line(folder: Path, cameras: dict[str, Any], **sections: object) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "line.yaml"
    record = {name: str(folder / f"{name}.jsonl") for name in ("verdicts", "drops")}
    content = {
        "version": 1,
        "cameras": cameras,
        "record": record,
        "metrics": {"port": 0},
        **sections,
    }
    path.write_text(json.dumps(content))
    return path


def verdicts(folder: Path, camera: str) -> dict[int, tuple[str, float]]:
    lines = json_lines(folder / "verdicts.jsonl")
    return {v["seq"]: (v["verdict"], v["score"]) for v in lines if v["camera"] == camera}


def judged_at(folder: Path, cameras: dict[str, Any], **sections: object) -> None:
    """Run a line to the end of its files."""
    with RunningLine(write_line(folder, cameras, **sections), folder) as line:
        assert line.wait() == 0, line.log
        for camera in line.report()["cameras"].values():
            assert camera["in_flight"] == 0
            assert not any(camera["dropped"].values())


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty rendered frames, of which the later ones have defects."""
    folder = tmp_path_factory.mktemp("stills")
    frames = [*parts(30, seed=7), *parts(10, seed=8, defect=True)]
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{index:03}.png"), frame[..., ::-1])
    return folder


@pytest.mark.parametrize("shared", [1, 2], ids=["a process each", "two share a process"])
def test_each_camera_is_judged_as_by_a_line_of_its_model_alone(
    shared: int, models: dict[str, Path], stills: Path, tmp_path: Path
) -> None:
    source = str(stills)
    cameras = {
        "first": {"source": source, "model": str(models["other"])},
        "second": {"source": source, "model": str(models["own"])},
        "third": {"source": source, "model": str(models["other"])},
        "fourth": {"source": source, "model": str(models["layers"])},
    }
    judged_at(tmp_path / "all", cameras, cameras_per_process=shared)
    for name in ("first", "second", "fourth") if shared == 1 else ("first",):
        judged_at(tmp_path / name, {name: cameras[name]})
        alone = verdicts(tmp_path / name, name)
        together = verdicts(tmp_path / "all", name)
        assert sorted(alone) == sorted(together) == list(range(40))
        assert [v for v, _ in together.values()] == [v for v, _ in alone.values()]
        for seq, (_, score) in alone.items():
            assert together[seq][1] == pytest.approx(score, rel=1e-4)
    assert verdicts(tmp_path / "all", "third").keys() == set(range(40))


CAMERAS = ("left", "right", "lone", "clip")


@pytest.fixture
def line(models: dict[str, Path], stills: Path, tmp_path: Path) -> Iterator[RunningLine]:
    """Three cameras for ever, and a file that ends soon; two share a process."""
    endless = {"type": "demo", "part": "inspect", "pace": 10, "loop": True}
    cameras = {
        "left": {"source": endless, "model": str(models["own"])},
        "clip": {"source": str(stills), "model": str(models["other"])},
        "right": {"source": endless, "model": str(models["other"])},
        "lone": {"source": endless, "model": str(models["own"])},
    }
    path = write_line(tmp_path, cameras, cameras_per_process=3)
    with RunningLine(path, tmp_path) as line:
        line.await_ready()
        eventually(lambda: len(verdicts(tmp_path, "clip")) == 40, "the file is played")
        eventually(
            lambda: line.metric("streamline_camera_state", camera="clip", state="ended") == 1,
            "the file has ended",
        )
        for camera in ("left", "right", "lone"):
            eventually(lambda: bool(verdicts(tmp_path, camera)), f"{camera} has begun")  # noqa: B023
        yield line


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_shared_process_that_is_lost_comes_back_with_all_its_cameras(
    signum: signal.Signals, line: RunningLine, tmp_path: Path
) -> None:
    family = psutil.Process(line.pid).children(recursive=True)
    (victim,) = [one for one in family if one.name() == "sl:cameras-1"]
    victim.send_signal(signum)
    eventually(
        lambda: line.metric("streamline_worker_restarts_total", worker="cameras-1") == 1,
        "the process is restarted",
    )
    for camera in ("left", "right", "lone"):
        before = len(verdicts(tmp_path, camera))
        eventually(lambda: len(verdicts(tmp_path, camera)) > before + 5, f"{camera} goes on")  # noqa: B023
    eventually(
        lambda: line.metric("streamline_camera_state", camera="clip", state="ended") == 1,
        "the file is not played again",
    )
    line.stop()
    assert line.wait() == 0, line.log
    cameras = line.report()["cameras"]
    lines = json_lines(tmp_path / "verdicts.jsonl")
    drops = json_lines(tmp_path / "drops.jsonl")
    assert max(Counter((v["camera"], v["incarnation"], v["seq"]) for v in lines).values()) == 1
    lives = {name: {v["incarnation"] for v in lines if v["camera"] == name} for name in CAMERAS}
    assert {name: len(found) for name, found in lives.items()} == {
        "left": 2,
        "right": 2,
        "lone": 1,
        "clip": 1,
    }
    assert cameras["clip"]["captured"] == 40
    for name, camera in cameras.items():
        assert camera["in_flight"] == 0
        assert sum(camera["judged"].values()) == sum(v["camera"] == name for v in lines)
        crashed = sum(d["camera"] == name and d["reason"] == "crashed" for d in drops)
        assert camera["dropped"].get("source:crashed", 0) == crashed
        sys.stdout.write(f"{name}: {camera['captured']} captured, {camera['dropped']}\n")
    assert "source:crashed" not in cameras["lone"]["dropped"]
