"""Every pipeline file that is shipped loads, and says what its comments say."""

from pathlib import Path

import pytest

from streamline.config import (
    DemoSource,
    Pipeline,
    QueuePolicy,
    RtspSource,
    UsbSource,
    load,
    missing_files,
)

FOLDER = Path(__file__).resolve().parents[2] / "pipelines"
FILES = sorted(FOLDER.glob("*.yaml"))
VARIABLES = {"CAMERA_PASSWORD": "hunter2", "XDG_CACHE_HOME": "/nowhere/cache"}


def shipped(name: str) -> Pipeline:
    return load(FOLDER / name, variables=VARIABLES)


def test_the_four_files_are_there() -> None:
    names = {file.name for file in FILES}
    assert names >= {"demo.yaml", "rtsp.yaml", "usb.yaml", "multi-camera.yaml"}


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_shipped_file_loads(file: Path) -> None:
    assert shipped(file.name).cameras


def test_the_demonstration_needs_nothing_that_is_not_there() -> None:
    pipeline = shipped("demo.yaml")
    assert missing_files(pipeline) == []
    for camera in pipeline.cameras.values():
        assert camera.live
        assert camera.model.path == Path("/nowhere/cache/streamline/demo-model")
        assert camera.model.learn is not None
        assert camera.model.learn.source == DemoSource(part="normal")


def test_the_rtsp_file_takes_its_password_from_the_environment() -> None:
    pipeline = shipped("rtsp.yaml")
    source = pipeline.cameras["outfeed"].source
    assert isinstance(source, RtspSource)
    assert source.real_url() == "rtsp://inspector:hunter2@192.168.1.64:554/stream1"
    assert "hunter2" not in repr(pipeline)


def test_the_usb_file_takes_its_device_from_the_environment() -> None:
    assert shipped("usb.yaml").cameras["top"].source == UsbSource(
        device=0, width=1280, height=720, fps=30, fourcc="MJPG"
    )


def test_the_multi_camera_file_mixes_kinds_models_and_policies() -> None:
    cameras = shipped("multi-camera.yaml").cameras
    assert {camera.source.type for camera in cameras.values()} == {"rtsp", "usb", "video"}
    assert len({camera.model.path for camera in cameras.values()}) == 2
    assert cameras["filler"].queue.policy is QueuePolicy.DROP_OLDEST
    assert cameras["recording"].queue.policy is QueuePolicy.BLOCK
    assert (cameras["labels"].alert.k, cameras["labels"].alert.n) == (5, 8)
