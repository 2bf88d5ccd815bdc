"""What is printed for a camera loads, means the same camera, and holds no password."""

from pathlib import Path

import pytest

from streamline.config import RtspSource, UsbSource, load, parse_source
from streamline.doctor.fragment import pipeline_for
from streamline.doctor.probe import Probe, Rhythm


def seen(codec: str = "h264") -> Probe:
    return Probe(
        width=1280,
        height=720,
        codec=codec,
        first_frame_s=0.4,
        live=True,
        frames=50,
        corrupt=0,
        rhythm=Rhythm(fps=25.0, jitter_ms=1.0, longest_gap_ms=44.0),
    )


@pytest.mark.parametrize(
    ("written", "variables"),
    [
        ("rtsp://10.0.0.7/live", {}),
        ("rtsp://bob@10.0.0.7:8554/live?channel=1&subtype=0", {}),
        ("rtsp://bob:hunter2@10.0.0.7/live", {"CAMERA_PASSWORD": "hunter2"}),
        ("rtsps://b%40b:hunter2@[fd00::7]:322/a", {"CAMERA_PASSWORD": "hunter2"}),
        (
            "rtsp://10.0.0.7/live?user=bob&password=hunter2&x-auth=hunter2%26",
            {"CAMERA_USER": "bob", "CAMERA_PASSWORD": "hunter2", "CAMERA_X_AUTH": "hunter2%26"},
        ),
        ("rtsp://10.0.0.7/live?hunter2", {"CAMERA_PASSWORD": "hunter2"}),
        ("rtsp://bob:${MY_OWN}@10.0.0.7/live", {"MY_OWN": "hunter2"}),
    ],
    ids=["open", "user", "password", "ipv6", "query", "bare-query", "variable"],
)
def test_a_network_camera_is_the_same_once_the_variable_is_set(
    written: str, variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    source = parse_source(written, tmp_path)
    text = pipeline_for(written, source, seen())
    assert "hunter2" not in text
    assert "***" not in text
    (tmp_path / "line.yaml").write_text(text)
    camera = load(tmp_path / "line.yaml", variables=variables).cameras["camera1"]
    assert isinstance(camera.source, RtspSource)
    assert isinstance(source, RtspSource)
    assert camera.source.real_url() == source.real_url()
    assert camera.size == (1280, 720)


def test_a_usb_camera_is_asked_for_the_mode_that_was_seen(tmp_path: Path) -> None:
    text = pipeline_for("usb:3", parse_source("usb:3", tmp_path), seen("MJPG"))
    (tmp_path / "line.yaml").write_text(text)
    assert load(tmp_path / "line.yaml").cameras["camera1"].source == UsbSource(
        device="/dev/video3", width=1280, height=720, fourcc="MJPG"
    )


@pytest.mark.parametrize("written", ["demo://inspect?seed=3", "a clip: no. 1.mp4", "pictures"])
def test_files_and_the_demonstration_too(written: str, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    source = parse_source(written, tmp_path)
    (tmp_path / "line.yaml").write_text(pipeline_for(written, source, seen()))
    assert load(tmp_path / "line.yaml").cameras["camera1"].source.label == source.label
