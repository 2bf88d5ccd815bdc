"""Cameras of this computer, as the kernel shows them, and what is made of what they send."""

from pathlib import Path

import pytest

from streamline.config import load
from streamline.config.schema import Camera
from streamline.doctor.cameras import VideoDevice, judge, listed, video_devices
from streamline.doctor.finding import Status
from streamline.doctor.probe import Probe, Rhythm


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A system with a camera of two nodes and one without a name that stays."""
    for node, index, name in (("video0", 0, "Cam A"), ("video1", 1, "Cam A"), ("video2", 0, "B")):
        entry = tmp_path / "sys/class/video4linux" / node
        entry.mkdir(parents=True)
        (entry / "index").write_text(f"{index}\n")
        (entry / "name").write_text(f"{name}\n")
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev" / node).touch()
    links = tmp_path / "dev/v4l/by-id"
    links.mkdir(parents=True)
    (links / "usb-A-video-index0").symlink_to("../../video0")
    return tmp_path


def test_cameras_are_listed_once_each_with_the_name_that_stays(root: Path) -> None:
    assert video_devices(root) == [
        VideoDevice(root / "dev/video0", "Cam A", root / "dev/v4l/by-id/usb-A-video-index0"),
        VideoDevice(root / "dev/video2", "B", None),
    ]


def test_a_camera_that_may_not_be_opened_is_told_with_the_group_to_join(root: Path) -> None:
    (root / "dev/video2").unlink()
    good, bad = listed(video_devices(root))
    assert (good.status, good.what) == (
        Status.OK,
        f"Cam A: {root}/dev/v4l/by-id/usb-A-video-index0",
    )
    assert (bad.status, "usermod -aG video" in bad.remedy) == (Status.WARN, True)


def test_a_computer_without_cameras_is_no_fault(tmp_path: Path) -> None:
    (told,) = listed(video_devices(tmp_path))
    assert told.status is Status.OK


def camera(folder: Path, *settings: str) -> Camera:
    text = "".join(f", {one}" for one in settings)
    source = "rtsp://10.0.0.7/live"
    (folder / "line.yaml").write_text(
        f"version: 1\nmodel: m\ncameras: {{left: {{source: '{source}'{text}}}}}\n"
    )
    return load(folder / "line.yaml").cameras["left"]


def seen(*, corrupt: int = 0, jitter_ms: float = 1.0, first_frame_s: float = 0.5) -> Probe:
    return Probe(
        width=640,
        height=360,
        codec="h264",
        first_frame_s=first_frame_s,
        live=True,
        frames=75,
        corrupt=corrupt,
        rhythm=Rhythm(fps=25.0, jitter_ms=jitter_ms, longest_gap_ms=50.0),
    )


def test_a_camera_as_it_should_be_is_told_in_one_line(tmp_path: Path) -> None:
    found = judge(camera(tmp_path, "size: [640, 360]"), seen())
    assert (found.status, found.what) == (
        Status.OK,
        (
            "640x360 px, h264, 25.0 frames a second, jitter 1.0 ms, longest gap 50 ms, "
            "first picture after 0.5 s"
        ),
    )


@pytest.mark.parametrize(
    ("settings", "given", "status", "word"),
    [
        (("size: [1280, 720]",), seen(), Status.FAIL, "size says 1280x720"),
        (("roi: [320, 0, 640, 360]",), seen(), Status.FAIL, "does not lie within"),
        ((), seen(corrupt=3), Status.WARN, "3 of 75 pictures are damaged"),
        ((), seen(jitter_ms=41.0), Status.WARN, "unevenly"),
        ((), seen(first_frame_s=4.0), Status.WARN, "first picture after 4.0 s"),
    ],
    ids=["size", "roi", "damaged", "uneven", "slow"],
)
def test_what_is_wrong_is_told_with_a_remedy(
    settings: tuple[str, ...], given: Probe, status: Status, word: str, tmp_path: Path
) -> None:
    found = judge(camera(tmp_path, *settings), given)
    assert (found.status, found.remedy != "") == (status, True)
    assert word in found.what
