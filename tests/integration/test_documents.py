"""The commands of the documents are run as a reader would, in a shell, before a real camera.

Blocks that need an installation, data, hardware or other hosts are marked in the documents; that
their commands and options exist is checked in tests/unit/test_documents.py.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import av
import cv2
import pytest

from streamline.source.synthetic import rendered_clip
from tests.support.documents import ROOT, Block, blocks, commands
from tests.support.ports import free_port
from tests.support.rtsp_server import RtspServer

SECRET: Final = "hunter2"  # noqa: S105 - of a server that plays a camera

AS_TYPED: Final = {
    "CAMERA_PASSWORD=…": f"CAMERA_PASSWORD={SECRET}",
    "--seconds 120 ": "--seconds 4 ",
    "--seconds 600 ": "--seconds 6 ",
    "--alpha 0.001": "--alpha 0.01",
}
"""What a reader fills in, and what takes less time here."""

PROGRAM: Final = f"""#!/bin/bash
# In place of Ctrl-C and of patience, and of port 9464, which another line may have.
set -e
case "$1 $2" in
  run\\ *.yaml|doctor\\ *.yaml) grep -q ^metrics: "$2" || echo "metrics: {{port: 0}}" >>"$2" ;;
esac
case "$1 $2" in
  run\\ *) set -- "$@" --duration 1 ;;
  doctor\\ *) set -- "$@" --seconds 1 ;;
esac
exec {sys.executable} -m streamline "$@"
"""


@pytest.fixture(scope="module")
def camera() -> Iterator[RtspServer]:
    """One that shows normal product to whoever knows the password."""
    with RtspServer(rendered_clip("normal", 0), user="inspector", password=SECRET) as running:
        yield running


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of normal product."""
    path = tmp_path_factory.mktemp("recordings") / "normal.mp4"
    with av.open(str(rendered_clip("normal", 0))) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in islice(source.demux(video=0), 150):
            packet.stream = stream
            target.mux(packet)
    return path


@pytest.fixture(scope="module")
def pictures(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of normal product."""
    folder = tmp_path_factory.mktemp("pictures")
    with av.open(str(recording)) as container:
        for number, frame in enumerate(islice(container.decode(video=0), 0, None, 3)):
            cv2.imwrite(f"{folder}/{number:03}.png", frame.to_ndarray(format="bgr24"))
    return folder


@pytest.fixture
def desk(
    tmp_path: Path, camera: RtspServer, demo_model: Path, recording: Path, pictures: Path
) -> Path:
    """A folder with what documents speak of: pipeline files, pictures, recordings, a model."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/streamline"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines")
    (tmp_path / "docker").symlink_to(ROOT / "docker")
    rtsp = tmp_path / "pipelines/rtsp.yaml"
    rtsp.write_text(at(camera, rtsp.read_text()).replace(":5590", f":{free_port()}"))
    shutil.copytree(demo_model, tmp_path / "model")
    for name in ("hour.mp4", "good.mp4", "left.mp4"):
        (tmp_path / name).symlink_to(recording)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/good").symlink_to(pictures)
    return tmp_path


def at(camera: RtspServer, text: str) -> str:
    """Put this camera in the place of the one that documents speak of."""
    here = camera.url.removeprefix("rtsp://")
    for there in ("${CAMERA_HOST:-192.168.1.64}:554/stream1", "192.168.1.64/stream1"):
        text = text.replace(there, here)
    return text


@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", [one for one in blocks() if not one.mark], ids=str)
def test_a_block_of_commands_works_as_it_stands(
    block: Block, desk: Path, camera: RtspServer
) -> None:
    for words in commands(block):
        if words[0] == "promtool" and shutil.which("promtool") is None:
            pytest.skip("promtool is not installed; apt-get install prometheus")
    if "fit" in block.text:
        shutil.rmtree(desk / "model")  # It is made, and no model is ever overwritten.
    text = at(camera, block.text)
    for shown, typed in AS_TYPED.items():
        text = text.replace(shown, typed)
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", text],
        cwd=desk,
        env={
            **os.environ,
            "CAMERA_PASSWORD": SECRET,
            "PATH": f"{desk}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    assert SECRET not in done.stdout + done.stderr


def test_there_are_such_blocks() -> None:
    run = {block.document for block in blocks() if not block.mark}
    assert {"README.md", "pipelines/README.md"} <= run
