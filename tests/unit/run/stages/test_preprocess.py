"""A frame that kills the preprocess stage is found and set aside."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import zmq

from streamline.config import load
from streamline.ledger import Ledger
from streamline.messages import Fault, Frame, FrameId, Origin, Picture, PixelFormat
from streamline.preprocess import prepare
from streamline.run.control import Control
from streamline.run.runtime import Runtime
from streamline.run.stages import preprocess as module
from streamline.run.stages.preprocess import PreprocessStage
from streamline.run.stages.stage import Site
from streamline.transport.shelf import Shelf


@contextmanager
def life(folder: Path, source: str) -> Iterator[PreprocessStage]:
    """One life of the stage's process, in the ledger of those before."""
    (folder / "line.yaml").write_text(
        f"version: 1\nmodel: m\ncameras: {{left: '{source}'}}\nscene: {{black: off}}\n"
    )
    Control.create(folder / "control")
    pipeline = load(folder / "line.yaml")
    site = Site(
        pipeline=pipeline,
        runtime=Runtime(folder),
        control=Control(folder / "control"),
        context=zmq.Context(),
        ledger=Ledger(),
    )
    stage = PreprocessStage(site, [pipeline.cameras["left"]], {"left": (8, 8)}, {"left": None})
    site.ledger.open(folder / "ledger")
    stage._suspects.recover()
    stage._shelves["left"] = Shelf(None, places=0, size=(8, 8))
    yield stage
    site.ledger.close()
    site.context.destroy()


def frame(incarnation: int, seq: int) -> Frame:
    plane = np.full((16, 16), seq, np.uint8)
    origin = Origin(FrameId("left", incarnation, seq), 0, 0, 0)
    return Frame(origin=origin, picture=Picture(format=PixelFormat.GRAY, planes=(plane,)))


class Death(BaseException):
    """Stands for the end of the process: nothing of the stage runs any more."""


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Grey levels that the process does not survive."""
    levels: set[int] = set()

    def dies(picture: Picture, **how: object) -> object:
        if int(picture.planes[0][0, 0]) in levels:
            raise Death
        return prepare(picture, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "prepare", dies)
    return levels


def faults(folder: Path, source: str, incarnation: int, seqs: range) -> list[Fault | None]:
    """What becomes of frames in one life, as far as it goes."""
    found = []
    with life(folder, source) as stage, suppress(Death):
        for seq in seqs:
            prepared, _ = stage._prepare(frame(incarnation, seq))
            found.append(prepared.fault)
    return found


def test_a_frame_that_kills_the_stage_each_time_it_is_sent_again_is_set_aside(
    tmp_path: Path, deadly: set[int]
) -> None:
    deadly.add(2)
    source = "rtsp://cam/x"
    assert faults(tmp_path, source, 7, range(4)) == [None, None]
    # What had come through has been answered.
    assert faults(tmp_path, source, 7, range(2, 4)) == []
    assert faults(tmp_path, source, 7, range(2, 4)) == [Fault.POISON, None]
    # Another start of the camera has other frames.
    deadly.clear()
    assert faults(tmp_path, source, 8, range(4)) == [None] * 4


def test_a_file_that_is_played_anew_gets_past_its_deadly_frames(
    tmp_path: Path, deadly: set[int]
) -> None:
    deadly.update({1, 3})
    lives = [faults(tmp_path, "demo://inspect", n, range(5)) for n in range(1, 6)]
    assert [len(one) for one in lives] == [1, 1, 3, 3, 5]
    assert lives[-1] == [None, Fault.POISON, None, Fault.POISON, None]


def test_a_frame_that_came_through_after_all_is_no_longer_suspected(
    tmp_path: Path, deadly: set[int]
) -> None:
    for _ in range(3):
        deadly.add(1)
        assert faults(tmp_path, "demo://inspect", 1, range(3)) == [None]
        deadly.clear()
        assert faults(tmp_path, "demo://inspect", 1, range(3)) == [None] * 3
