"""Which frames a fit takes, checked by what is written into them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest

from streamline.config import ImagesSource, VideoSource
from streamline.errors import InputError
from streamline.learn.ahead import read_ahead
from streamline.learn.select import SelectedFrames, Selection
from streamline.learn.spread import Spread

Folder = Callable[[int], Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Makes a folder of images whose grey level is twice their number."""

    def make(count: int) -> Path:
        place = tmp_path / str(count)
        place.mkdir()
        for number in range(count):
            grey = np.full((64, 64), 2 * number, np.uint8)
            cv2.imwrite(str(place / f"{number:03}.png"), grey)
        return place

    return make


def numbers(selected: SelectedFrames) -> list[int]:
    return [int(frame.mean()) // 2 for frame in selected]


def test_all_frames_are_taken_where_they_are_few(folder: Folder) -> None:
    source = ImagesSource(path=folder(7))
    assert numbers(SelectedFrames([source], Selection())) == list(range(7))


def test_one_frame_of_k_is_taken(folder: Folder) -> None:
    source = ImagesSource(path=folder(10))
    assert numbers(SelectedFrames([source], Selection(every=4))) == [0, 4, 8]


def test_of_many_frames_evenly_spread_ones_are_taken(folder: Folder) -> None:
    source = ImagesSource(path=folder(100))
    taken = numbers(SelectedFrames([source], Selection(max_frames=8)))
    assert len(taken) == 8
    assert taken[0] == 0
    assert set(np.diff(taken)) <= {12, 13}


def test_what_a_short_source_leaves_goes_to_the_next(folder: Folder) -> None:
    sources = [ImagesSource(path=folder(3)), ImagesSource(path=folder(40))]
    taken = numbers(SelectedFrames(sources, Selection(max_frames=10)))
    assert taken[:3] == [0, 1, 2]
    assert len(taken) == 10


def test_how_many_there_will_be_is_known_once_a_source_is_open(folder: Folder) -> None:
    selected = SelectedFrames([ImagesSource(path=folder(30))], Selection(max_frames=12))
    frames = iter(selected)
    assert selected.__length_hint__() == 0
    next(frames)
    assert selected.__length_hint__() == 12
    assert len(list(frames)) == 11


def test_a_folder_is_read_once_however_the_line_plays_it(folder: Folder) -> None:
    source = ImagesSource(path=folder(3), pace=0.01, loop=True)
    assert numbers(SelectedFrames([source], Selection(seconds=0.5))) == [0, 1, 2]


def test_seconds_mean_nothing_to_still_images(folder: Folder) -> None:
    source = ImagesSource(path=folder(6))
    assert len(numbers(SelectedFrames([source], Selection(seconds=0.1)))) == 6


def test_the_region_of_the_line_is_what_is_learnt(tmp_path: Path) -> None:
    halves = np.zeros((64, 64), np.uint8)
    halves[:, 32:] = 200
    cv2.imwrite(str(tmp_path / "halves.png"), halves)
    source = ImagesSource(path=tmp_path)
    (frame,) = SelectedFrames([source], Selection(roi=(32, 0, 32, 64)))
    assert frame.min() == 200


def video(path: Path, seconds: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    for number in range(10 * seconds):
        writer.write(np.full((64, 64, 3), 2 * number, np.uint8))
    writer.release()
    return path


def test_the_first_seconds_of_a_video_are_taken(tmp_path: Path) -> None:
    source = VideoSource(path=video(tmp_path / "clip.avi", 6))
    taken = numbers(SelectedFrames([source], Selection(seconds=2.0)))
    np.testing.assert_allclose(taken, range(20), atol=1)


def test_a_looped_video_shorter_than_the_seconds_is_read_once(tmp_path: Path) -> None:
    source = VideoSource(path=video(tmp_path / "clip.avi", 2), pace="native", loop=True)
    taken = numbers(SelectedFrames([source], Selection(seconds=20.0)))
    np.testing.assert_allclose(taken, range(20), atol=1)


def test_a_limited_number_is_spread_over_the_seconds(tmp_path: Path) -> None:
    source = VideoSource(path=video(tmp_path / "clip.avi", 6))
    taken = numbers(SelectedFrames([source], Selection(seconds=4.0, max_frames=8)))
    np.testing.assert_allclose(taken, range(0, 40, 5), atol=1)


def test_a_source_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*gone.mp4"):
        list(SelectedFrames([VideoSource(path=tmp_path / "gone.mp4")], Selection()))


def test_a_camera_is_read_on_while_its_frames_wait_and_no_more_wait_than_may() -> None:
    read = Event()

    def numbered() -> Iterator[int]:
        yield from range(100)
        read.set()

    taken = read_ahead(numbered(), limit=5)
    first = next(taken)
    assert read.wait(60)
    rest = list(taken)
    assert first == 0
    # Five waited; one of them was the first, if all were read before that was taken.
    assert len(rest) in {4, 5}
    assert rest == sorted(set(rest))


@pytest.mark.parametrize("shown", [0, 1, 7, 8, 9, 100, 1000])
@pytest.mark.parametrize("limit", [8, 9])
def test_a_stream_of_unknown_length_leaves_evenly_spaced_frames(shown: int, limit: int) -> None:
    spread = Spread(limit)
    for number in range(shown):
        if spread.wants():
            spread.keep(np.full((1, 1, 3), number % 251, np.uint8))
    kept = [int(frame[0, 0, 0]) for frame in spread.frames]
    assert min(shown, limit // 2) <= len(kept) <= limit
    steps = {int(step) % 251 for step in np.diff(kept)}
    assert len(steps) <= 1


def test_pictures_have_no_time_and_frames_of_a_clip_have_the_clips(
    folder: Folder, tmp_path: Path
) -> None:
    stills = SelectedFrames([ImagesSource(path=folder(9))], Selection())
    assert len(list(stills)) == 9
    assert stills.interval_s is None
    assert stills.source_fps is None
    clip = VideoSource(path=video(tmp_path / "clip.avi", 4))
    for selection, interval_s in (
        (Selection(), 0.1),
        (Selection(every=4), 0.4),
        (Selection(seconds=2.0), 0.1),
        (Selection(max_frames=20), 0.2),
    ):
        selected = SelectedFrames([clip], selection)
        list(selected)
        assert selected.interval_s == pytest.approx(interval_s, rel=0.06)
        assert selected.source_fps == pytest.approx(10, rel=0.06), "whatever is taken of it"
