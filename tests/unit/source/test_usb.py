"""Cameras of this computer: what can be checked without one."""

from pathlib import Path

import pytest

from streamline.errors import SourceError
from streamline.source.usb import UsbReader


@pytest.mark.parametrize(
    ("device", "path"),
    [("/dev/v4l/by-id/usb-none", "/dev/v4l/by-id/usb-none"), (250, "/dev/video250")],
)
def test_a_missing_camera_is_named_with_where_to_look(device: str | int, path: str) -> None:
    with pytest.raises(
        SourceError, match=f"there is no camera at {path}.*/dev/v4l/by-id"
    ) as caught:
        UsbReader(device)
    assert caught.value.reason == "missing"


def test_what_is_no_camera_is_refused(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.write_bytes(b"")
    with pytest.raises(SourceError, match="video0 can't be opened as a camera") as caught:
        UsbReader(str(device), width=640, height=480, fourcc="MJPG", fps=30)
    assert caught.value.reason == "refused"
