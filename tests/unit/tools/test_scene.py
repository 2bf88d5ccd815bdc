"""The faults that are made on real frames are what their names say."""

from itertools import islice

import numpy as np
import pytest

from tools.scene.faults import FAULTS
from tools.scene.scenes import Scene

NAMED = {made.name: made for made in FAULTS}


def picture() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(20, 150, (120, 200, 3)).astype(np.uint8)


def test_a_scene_goes_on_forwards_and_backwards_without_a_jump() -> None:
    others = [np.full((2, 2, 3), level, np.uint8) for level in range(4)]
    scene = Scene("bench", 10.0, [], others)
    played = [(moment_s, int(one[0, 0, 0])) for moment_s, one in islice(scene.going_on(), 9)]
    assert [level for _, level in played] == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert [moment_s for moment_s, _ in played] == pytest.approx([n / 10 for n in range(9)])


@pytest.mark.parametrize(
    ("name", "since_s", "factor"),
    [
        ("light +30 %", 0, 1.3),
        ("light -30 %", 9, 0.7),
        ("light -0.5 % a second", 0, 1.0),
        ("light -0.5 % a second", 40, 0.8),
    ],
)
def test_light_is_more_or_less_by_what_the_name_says(
    name: str, since_s: float, factor: float
) -> None:
    changed = NAMED[name].change(picture(), since_s)
    assert changed.mean() / picture().mean() == pytest.approx(factor, rel=0.01)


@pytest.mark.parametrize(("name", "columns"), [("5 % to the right", 10), ("5 % to the left", -10)])
def test_a_moved_view_is_moved_by_a_twentieth_of_its_width(name: str, columns: int) -> None:
    changed = NAMED[name].change(picture(), 0)
    inner = slice(20, -20)
    np.testing.assert_array_equal(changed[:, inner], np.roll(picture(), columns, axis=1)[:, inner])


def test_no_fault_writes_to_the_picture_that_it_is_made_on() -> None:
    for made in FAULTS:
        frame = picture()
        frame.flags.writeable = False
        made.change(frame, 3.0)
        np.testing.assert_array_equal(frame, picture())
