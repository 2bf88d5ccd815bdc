"""Folders of still images as a source."""

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from streamline.errors import SourceError
from streamline.messages import PixelFormat
from streamline.source import Reading, image_paths, read_image
from streamline.source.images import ImagesReader


def all_of(reader: ImagesReader, limit: int = 1000) -> list[Reading]:
    got: list[Reading] = []
    while len(got) < limit and (reading := reader.read()) is not None:
        got.append(reading)
    return got


def level(reading: Reading) -> int:
    return int(reading.picture.planes[0][0, 0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five grey images whose level is their number, and a file that is none."""
    for number in (3, 1, 4, 2, 0):
        pixels = np.full((8, 10), number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "labels.csv").write_text("0,good\n")
    return tmp_path


def test_images_come_in_the_order_of_their_names_and_nothing_else_does(folder: Path) -> None:
    reader = ImagesReader(folder)
    assert (reader.frames, reader.live) == (5, False)
    assert [level(r) for r in all_of(reader)] == [0, 1, 2, 3, 4]
    assert reader.read() is None


def test_each_image_is_held_for_as_many_frames_as_asked(folder: Path) -> None:
    reader = ImagesReader(folder, hold=3)
    assert reader.frames == 15
    assert [level(r) for r in all_of(reader)] == [n for n in range(5) for _ in range(3)]


def test_a_looped_folder_starts_over(folder: Path) -> None:
    reader = ImagesReader(folder, loop=True, hold=2)
    assert reader.frames is None
    assert [level(r) for r in all_of(reader, 23)] == [n // 2 % 5 for n in range(23)]


def test_a_late_reader_of_a_paced_folder_misses_what_was_due(folder: Path) -> None:
    reader = ImagesReader(folder, pace=200, hold=20)
    assert reader.live
    got = []
    while (reading := reader.read()) is not None:
        got.append(reading)
        if len(got) == 4:
            time.sleep(0.06)
    numbers = np.cumsum([1 + r.missed for r in got]) - 1
    assert sum(r.missed for r in got) >= 11
    assert numbers[-1] == 99
    assert [level(r) for r in got] == [n // 20 for n in numbers]
    due_ns = [got[0].captured_ns + n * 5_000_000 for n in numbers]
    assert [r.captured_ns for r in got] == due_ns


def test_interrupting_ends_the_wait_for_the_next_image(folder: Path) -> None:
    reader = ImagesReader(folder, pace=0.001)
    assert reader.read() is not None
    waiting = threading.Thread(target=reader.read)
    waiting.start()
    reader.interrupt()
    waiting.join(20)
    assert not waiting.is_alive()
    reader.close()


def test_colour_images_are_rgb_as_pil_reads_them(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 31, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture = read_image(tmp_path / "a.png")
    assert picture.format is PixelFormat.RGB
    assert np.array_equal(picture.planes[0], pixels)
    with pytest.raises(ValueError, match="read-only"):
        picture.planes[0][0, 0, 0] = 0


def test_sixteen_bit_images_keep_their_upper_eight(tmp_path: Path) -> None:
    deep = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    picture = read_image(tmp_path / "deep.png")
    assert picture.format is PixelFormat.GRAY
    assert np.array_equal(picture.planes[0], (deep >> 8).astype(np.uint8))


def test_transparency_is_dropped(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png").planes[0][0, 0].tolist() == [10, 20, 30]


def refused(folder: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        all_of(ImagesReader(folder))
    return caught.value


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none yet")
    error = refused(tmp_path)
    assert (error.reason, str(tmp_path) in str(error)) == ("missing", True)
    assert "has no image in it" in str(error)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "absent can't be read as a folder" in str(refused(tmp_path / "absent"))
    with pytest.raises(SourceError, match="No such file"):
        image_paths(tmp_path / "absent")


@pytest.mark.parametrize("content", [b"", b"no image at all"])
def test_a_folder_whose_first_image_is_unreadable_is_refused_by_its_name(
    folder: Path, content: bytes
) -> None:
    (folder / "0.png").write_bytes(content)
    error = refused(folder)
    assert error.reason == "format"
    assert f"{folder / '0.png'} is not an image" in str(error)


@pytest.mark.parametrize("content", [b"", b"no image at all"])
def test_a_damaged_image_among_others_is_corrupt_as_long_as_it_is_shown(
    folder: Path, content: bytes
) -> None:
    (folder / "1.png").write_bytes(content)
    got = all_of(ImagesReader(folder, hold=2))
    assert [r.corrupt for r in got] == [number in {2, 3} for number in range(10)]
    assert {(r.picture.width, r.picture.height) for r in got} == {(10, 8)}
    assert not any(plane.any() for plane in got[2].picture.planes)


def test_an_image_that_went_away_ends_the_folder(folder: Path) -> None:
    reader = ImagesReader(folder)
    reader.read()
    (folder / "1.png").unlink()
    with pytest.raises(SourceError, match=r"1\.png can't be read: No such file") as caught:
        reader.read()
    assert caught.value.reason == "missing"
