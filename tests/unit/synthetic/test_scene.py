"""The rendered line: the same every time, and what is said of it is what is seen."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt
import pytest

from streamline.source.synthetic import FPS, PICTURE, Clip, DefectKind, render
from streamline.source.synthetic.course import CYCLE
from streamline.source.synthetic.plate import HEIGHT, WIDTH

Images = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def clip() -> Clip:
    return render("inspect", 0)


@pytest.fixture(scope="module")
def other() -> Clip:
    return render("inspect", 1)


@pytest.fixture(scope="module")
def changes(clip: Clip) -> list[int]:
    """How many px of each frame change by more than 8 grey levels when defects are left out."""
    pairs = zip(clip, render("inspect", 0, defects=False), strict=True)
    return [
        int((np.abs(with_.astype(int) - without).max(axis=2) > 8).sum()) for with_, without in pairs
    ]


def frames(clip: Clip, *, start: int, count: int) -> Iterator[Images]:
    return islice(clip, start, start + count)


def test_the_same_seed_gives_the_same_frames(clip: Clip) -> None:
    again = render("inspect", 0)
    for one, other in zip(frames(clip, start=0, count=40), again, strict=False):
        np.testing.assert_array_equal(one, other)
    assert again.truth == clip.truth


def test_a_clip_can_be_iterated_again(clip: Clip) -> None:
    first, second = next(iter(clip)), next(iter(clip))
    np.testing.assert_array_equal(first, second)


def test_another_seed_gives_other_parts_on_the_same_line(clip: Clip, other: Clip) -> None:
    assert other.truth != clip.truth
    one, two = (next(frames(c, start=10, count=1)).astype(float) for c in (clip, other))
    rail = np.abs(one[:25] - two[:25]).mean()
    plate = np.abs(one[60:300, 150:490] - two[60:300, 150:490]).mean()
    assert rail < plate


def test_frames_are_colour_pictures_of_the_stated_size(clip: Clip) -> None:
    picture = next(iter(clip))
    assert picture.shape == (*PICTURE, 3)
    assert picture.dtype == np.uint8
    assert len(clip) == len(clip.truth.frames)
    assert 18 <= len(clip) / FPS <= 30


def test_only_frames_said_to_show_a_defect_show_one(clip: Clip, changes: list[int]) -> None:
    shown = [frame.defect is not None for frame in clip.truth.frames]
    assert max(n for n, defect in zip(changes, shown, strict=True) if not defect) <= 20
    assert min(n for n, defect in zip(changes, shown, strict=True) if defect) > 20


def test_the_area_said_to_be_defective_is_the_area_that_changes(
    clip: Clip, changes: list[int]
) -> None:
    for episode in clip.truth.episodes:
        resting = changes[episode.part * CYCLE + 3 : (episode.part + 1) * CYCLE]
        share = np.median(resting) / (WIDTH * HEIGHT)
        assert episode.area_share == pytest.approx(share, rel=0.3), episode


def test_episodes_are_the_runs_of_frames_that_show_a_defect(clip: Clip) -> None:
    shown = {
        (at, episode.kind)
        for episode in clip.truth.episodes
        for at in range(episode.first, episode.last + 1)
    }
    frames = enumerate(clip.truth.frames)
    assert shown == {(at, frame.defect) for at, frame in frames if frame.defect is not None}


def test_every_kind_of_defect_occurs_and_none_is_below_one_percent(clip: Clip, other: Clip) -> None:
    for episodes in (clip.truth.episodes, other.truth.episodes):
        assert {episode.kind for episode in episodes} == set(DefectKind)
        assert all(0.01 <= episode.area_share < 0.05 for episode in episodes)
        assert min(episode.area_share for episode in episodes) < 0.018


def test_a_good_part_lies_between_defective_ones(clip: Clip) -> None:
    parts = [episode.part for episode in clip.truth.episodes]
    assert min(np.diff(parts)) >= 2


def test_parts_rest_at_the_same_place_and_are_not_alike(clip: Clip) -> None:
    resting = [next(frames(clip, start=part * CYCLE + 8, count=1)) for part in (0, 3)]
    one, other = (picture[60:300, 150:490].astype(float) for picture in resting)
    structure = np.corrcoef(one.ravel(), other.ravel())[0, 1]
    assert structure > 0.8
    assert np.abs(one - other).mean() > 3


def test_the_normal_clip_has_no_defect() -> None:
    normal = render("normal", 0)
    assert normal.truth.episodes == ()
    assert all(frame.defect is None for frame in normal.truth.frames)
