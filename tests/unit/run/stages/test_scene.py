"""What a line makes of a scene that is not well: each response, told once, counted always."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import structlog

from streamline.config import Camera, load
from streamline.ledger import Ledger
from streamline.messages import Fault, FrameId, Origin
from streamline.run.stages.scene import DriftGuard, SceneGuard

Frame = npt.NDArray[np.uint8]
FPS = 25


def camera(folder: Path, scene: str, source: str = "rtsp://10.0.0.7/x") -> Camera:
    (folder / "line.yaml").write_text(
        f"version: 1\nmodel: m\ncameras: {{left: '{source}'}}\nscene: {scene}\n"
    )
    return load(folder / "line.yaml").cameras["left"]


def origin(moment_s: float, pts_s: float | None = None) -> Origin:
    return Origin(FrameId("left", 1, 0), round(moment_s * 1e9), 0, 0, pts_s)


def scene() -> Frame:
    return np.random.default_rng().integers(0, 256, (256, 256, 3)).astype(np.uint8)


def dark() -> Frame:
    return np.random.default_rng().integers(0, 6, (256, 256, 3)).astype(np.uint8)


def value(ledger: Ledger, name: str, check: str) -> float:
    found = [s for s in ledger.samples() if s.name == name and s.labels.get("check") == check]
    return float(found[0].values[0])


Said = list[Any]


def look(guard: SceneGuard, frames: list[Frame], first_s: float) -> list[Fault | None]:
    return [guard.look(origin(first_s + n / FPS), frame) for n, frame in enumerate(frames)]


def test_a_fault_withholds_verdicts_and_is_told_once_until_it_has_been_over_for_long(
    tmp_path: Path,
) -> None:
    ledger = Ledger()
    guard = SceneGuard(ledger, camera(tmp_path, "{}"), None)
    with structlog.testing.capture_logs() as logs:
        assert look(guard, [scene() for _ in range(5)], 0.0) == [None] * 5
        assert not logs
        # A light that flickers: one fault, however often it comes and goes.
        for second in range(1, 5):
            assert look(guard, [dark() for _ in range(5)], second) == [Fault.BLACK] * 5
            assert look(guard, [scene() for _ in range(5)], second + 0.5) == [None] * 5
        begun: Said = [line for line in logs if line.get("check") == "black"]
        assert len(begun) == 1
        assert begun[0]["verdicts"] == "unknown"
        assert "check the light" in begun[0]["event"]
        assert value(ledger, "streamline_scene_state", "black") == 1
        assert look(guard, [scene()], 12.0) == [None]
    assert logs[-1]["event"] == "scene is well again"
    assert logs[-1]["unknown"] == 20
    assert value(ledger, "streamline_scene_state", "black") == 0
    assert value(ledger, "streamline_scene_faults_total", "black") == 1


def test_a_warning_is_told_and_verdicts_go_on(tmp_path: Path) -> None:
    ledger = Ledger()
    guard = SceneGuard(ledger, camera(tmp_path, "{black: warn}"), None)
    with structlog.testing.capture_logs() as logs:
        assert look(guard, [dark() for _ in range(5)], 0.0) == [None] * 5
    assert [(line["check"], line["verdicts"]) for line in logs] == [("black", "go on")]
    assert value(ledger, "streamline_scene_state", "black") == 1


def test_what_is_off_is_neither_told_nor_counted(tmp_path: Path) -> None:
    ledger = Ledger()
    guard = SceneGuard(ledger, camera(tmp_path, "{black: off}"), None)
    with structlog.testing.capture_logs() as logs:
        assert look(guard, [dark() for _ in range(5)], 0.0) == [None] * 5
    assert logs == []
    assert value(ledger, "streamline_scene_faults_total", "black") == 0


def test_a_fault_that_only_warns_does_not_hide_one_that_withholds(tmp_path: Path) -> None:
    guard = SceneGuard(Ledger(), camera(tmp_path, "{frozen_s: 1, black: warn}"), None)
    same = dark()
    assert set(look(guard, [same] * (FPS + 2), 0.0)) == {None, Fault.FROZEN}


def test_a_file_read_as_fast_as_it_is_judged_is_timed_by_its_own_clock(tmp_path: Path) -> None:
    frozen: dict[str, list[Fault | None]] = {}
    for source in ("clip.mp4", "{type: video, path: clip.mp4, pace: native}"):
        text = source if source.startswith("{") else f"'{source}'"
        (tmp_path / "line.yaml").write_text(
            f"version: 1\nmodel: m\ncameras: {{left: {{source: {text}}}}}\nscene: {{frozen_s: 1}}\n"
        )
        guard = SceneGuard(Ledger(), load(tmp_path / "line.yaml").cameras["left"], None)
        same = scene()
        # 100 frames of 4 s, read in 0.1 s.
        frozen[source[:1]] = [guard.look(origin(n / 1000, pts_s=n / FPS), same) for n in range(100)]
    assert frozen["c"] == [None] * FPS + [Fault.FROZEN] * 75
    assert frozen["{"] == [None] * 100


@pytest.mark.parametrize(("response", "fault"), [("warn", None), ("unknown", Fault.DRIFT)])
def test_drift_gives_what_is_set(tmp_path: Path, response: str, fault: Fault | None) -> None:
    ledger = Ledger()
    guard = DriftGuard(ledger, camera(tmp_path, f"{{drift: {response}}}"), 999)
    found = [guard.look(0.01, second * 10**9) for second in range(300)]
    assert found[:90] == [None] * 90
    assert found[-1] is fault
    assert value(ledger, "streamline_scene_state", "drift") == 1
