"""What the demonstration's containers run, without an engine: an RTSP camera, its line, its check.

`tools/image.py` does the same with what a clean build of the image holds.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clips import repeat
from tests.support.line import RunningLine, eventually
from tests.support.ports import free_port
from tests.support.rtsp_server import RtspServer
from tests.support.watchers import DOCKER


def test_the_demonstrations_line_gets_healthy_on_its_camera_and_ends_in_good_order(
    tmp_path: Path, demo_clip: Path, demo_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    state = tmp_path / "state"
    state.mkdir()
    # Its first start would learn this very model.
    (state / "model").symlink_to(demo_model)
    text = (DOCKER / "demo.yaml").read_text()
    (tmp_path / "line.yaml").write_text(text.replace("plain: true", f"plain: true\n  port: {port}"))
    with RtspServer(repeat(demo_clip, tmp_path / "clip.mp4", seconds=120)) as server:
        monkeypatch.setenv("CAMERA_URL", server.url)
        monkeypatch.setenv("STATE_DIRECTORY", str(state))
        monkeypatch.setenv("STREAMLINE_URL", f"http://127.0.0.1:{port}")
        check = [sys.executable, str(DOCKER / "healthcheck.py")]
        with RunningLine(tmp_path / "line.yaml", tmp_path) as line:
            eventually(
                lambda: subprocess.run(check, capture_output=True, check=False).returncode == 0,
                "the image's check is content",
            )
            line.stop()
            assert line.wait() == 0, line.log
    camera = line.report()["cameras"]["inspection"]
    assert camera["captured"] > 0
    assert camera["in_flight"] == 0
