"""Jumps of a camera's clock, told from stalls and bursts."""

import numpy as np
import pytest

from streamline.messages import Picture, PixelFormat
from streamline.source import Reading, StampWatch


def jumps(stamps: list[tuple[float | None, float]]) -> list[float | None]:
    """What is said of readings with these stamps and times of arrival, s."""
    picture = Picture(format=PixelFormat.GRAY, planes=(np.zeros((2, 2), np.uint8),))
    watch = StampWatch()
    found = []
    for pts_s, arrived_s in stamps:
        reading = Reading(
            picture=picture,
            captured_ns=round(arrived_s * 1e9),
            wall_ns=0,
            pts_s=pts_s,
            corrupt=False,
        )
        jump_s = watch.jump_s(reading)
        found.append(None if jump_s is None else round(jump_s, 6))
    return found


@pytest.mark.parametrize(
    "stamps",
    [
        pytest.param([(0.04 * n, 0.04 * n) for n in range(50)], id="steady"),
        pytest.param([(None, 0.0), (99.0, 0.04), (99.04, 0.08)], id="the-first-has-none"),
        pytest.param([(0.0, 0.0), (0.04, 5.0), (0.08, 5.0), (5.0, 5.1)], id="stall-and-burst"),
        pytest.param([(0.0, 0.0), (3.0, 3.1)], id="frames-lost"),
        pytest.param([(1.0, 0.0), (1.0, 0.04)], id="a-stamp-twice"),
    ],
)
def test_late_and_lost_frames_are_no_jump(stamps: list[tuple[float | None, float]]) -> None:
    assert jumps(stamps) == [None] * len(stamps)


def test_a_clock_that_is_set_is_told_by_how_much_and_then_followed() -> None:
    stamps: list[tuple[float | None, float]] = [(50.0, 0), (20.04, 0.04), (20.08, 0.08)]
    assert jumps(stamps) == [None, -30.0, None]
    stamps = [(50.0, 0), (80.04, 0.04), (80.08, 0.08)]
    assert jumps(stamps) == [None, 30.0, None]
