"""`streamline doctor` before a real RTSP server that asks for a password."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from streamline.config import RtspSource, load
from tests.support.clips import encode, repeat
from tests.support.line import streamline
from tests.support.rtsp_server import RtspServer

USER, SECRET = "inspector", "s3cret-w0rd"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    """A camera of 128x96 px at 25 frames a second."""
    folder = tmp_path_factory.mktemp("camera")
    ramp = (np.full((96, 128, 3), 30 + 4 * n, np.uint8) for n in range(50))
    clip = repeat(encode(ramp, folder / "ramp.mp4", rate=25), folder / "long.mp4", seconds=60)
    with RtspServer(clip, user=USER, password=SECRET) as running:
        yield running


def test_the_file_printed_for_an_address_loads_and_is_that_camera(
    server: RtspServer, tmp_path: Path
) -> None:
    url, figures = server.url_for(USER, SECRET), tmp_path / "seen.json"
    done = streamline("doctor", url, "--seconds", "2", "--json", figures)
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr + figures.read_text()
    (tmp_path / "line.yaml").write_text(done.stdout)
    camera = load(tmp_path / "line.yaml", variables={"CAMERA_PASSWORD": SECRET}).cameras["camera1"]
    assert isinstance(camera.source, RtspSource)
    assert camera.source.real_url() == url
    assert camera.size == (128, 96)
    seen = json.loads(figures.read_text())["seen"]
    assert (seen["width"], seen["height"], seen["codec"]) == (128, 96, "h264")
    assert seen["rhythm"]["fps"] == pytest.approx(25, rel=0.02)
    assert seen["rhythm"]["jitter_ms"] >= 0
    assert seen["frames"] > 40


def test_a_pipeline_file_is_judged_by_what_its_cameras_send(
    server: RtspServer, demo_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMERA_PASSWORD", SECRET)
    right = server.url_for(USER, "X").replace(":X@", ":${CAMERA_PASSWORD}@")
    document = {
        "version": 1,
        "model": str(demo_model),
        "cameras": {
            "good": {"source": right, "size": [128, 96]},
            "small": {"source": right, "size": [1280, 720]},
            "locked": server.url_for(USER, "wrong"),
            "gone": "rtsp://127.0.0.1:9/stream",
        },
        "metrics": {"port": 0},
    }
    (tmp_path / "line.yaml").write_text(json.dumps(document))
    figures = tmp_path / "found.json"
    done = streamline("doctor", tmp_path / "line.yaml", "--seconds", "1", "--json", figures)
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert SECRET not in done.stdout + done.stderr + figures.read_text()
    assert "wrong" not in done.stdout
    found = {one["check"]: one for one in json.loads(figures.read_text())["findings"]}
    assert found["camera good"]["status"] != "fail"
    assert "128x96 px, h264, 25.0 frames a second, jitter" in found["camera good"]["what"]
    assert "size says 1280x720 px" in found["camera small"]["what"]
    assert "refuses the user name or password" in found["camera locked"]["what"]
    assert "password_file" in found["camera locked"]["remedy"]
    assert "nothing listens there" in found["camera gone"]["what"]
    fails = {name for name, one in found.items() if one["status"] == "fail"}
    assert fails == {"camera small", "camera locked", "camera gone"}
