"""From a source in the pipeline file to an open one."""

from pathlib import Path

import pytest
from PIL import Image

from streamline.config import (
    DemoSource,
    ImagesSource,
    RtspSource,
    UsbSource,
    VideoSource,
    parse_source,
)
from streamline.errors import SourceError
from streamline.source import open_source
from streamline.source.rtsp import RtspReader


def test_a_video_is_opened_with_its_pace(clip: Path) -> None:
    assert not open_source(VideoSource(path=clip)).live
    paced = open_source(VideoSource(path=clip, pace="native", loop=True))
    assert (paced.live, paced.frames) == (True, None)


def test_a_folder_is_opened_with_its_hold(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "one.png")
    assert open_source(ImagesSource(path=tmp_path, hold=7)).frames == 7


def test_the_demo_is_opened_as_a_rendered_video() -> None:
    source = open_source(DemoSource(part="normal", seed=1))
    first, second = source.read(), source.read()
    assert first is not None
    assert second is not None
    assert (first.picture.height, first.picture.width) == (360, 640)
    assert first.captured_ns < second.captured_ns
    source.close()


def test_a_missing_usb_camera_is_reported() -> None:
    with pytest.raises(SourceError, match="there is no camera at /dev/video254"):
        open_source(UsbSource(device=254))


def test_an_unreadable_password_file_is_a_matter_of_authentication(tmp_path: Path) -> None:
    config = RtspSource.model_validate(
        {
            "url": "rtsp://127.0.0.1:1/x",
            "username": "bob",
            "password_file": str(tmp_path / "absent"),
        }
    )
    with pytest.raises(SourceError, match=r"secret's file .*absent") as caught:
        open_source(config)
    assert caught.value.reason == "auth"


def test_a_refused_camera_is_named_without_its_password() -> None:
    with pytest.raises(SourceError) as caught:
        open_source(parse_source("rtsp://bob:hush@127.0.0.1:1/x", Path()))
    assert caught.value.reason == "refused"
    assert str(caught.value).startswith("rtsp://***@127.0.0.1:1/x: nothing listens there")


def test_an_unknown_host_is_told_from_a_refusal() -> None:
    with pytest.raises(SourceError, match=r"host name 'camera\.invalid' can't be resolved") as e:
        open_source(parse_source("rtsp://bob:hush@camera.invalid/x", Path()))
    assert e.value.reason == "dns"
    assert "hush" not in str(e.value)


@pytest.mark.parametrize("host", ["cam..lan", "k" * 64 + ".lan"])
def test_what_can_be_no_host_s_name_is_an_unknown_host(host: str) -> None:
    with pytest.raises(SourceError, match=r"can't be resolved") as e:
        RtspReader(f"rtsp://{host}/x", label="left")
    assert e.value.reason == "dns"
