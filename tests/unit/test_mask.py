"""Masks: what they cover against OpenCV, which cells that leaves against every pixel."""

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamline.audit.records import RunCamera
from streamline.mask import REACH_PX, Mask, Polygon

POLYGON = st.lists(
    st.tuples(st.floats(-0.3, 1.3), st.floats(-0.3, 1.3)), min_size=3, max_size=7
).map(tuple)


@settings(max_examples=40)
@given(POLYGON)
def test_a_pixel_is_covered_if_its_centre_lies_in_the_polygon(
    polygon: tuple[tuple[float, float], ...],
) -> None:
    rows, columns = 24, 32
    found = Mask((polygon,)).covered(rows, columns)
    # OpenCV counts in float32; points this close to an edge are left to either.
    corners = np.array(polygon, np.float32)
    for y in range(rows):
        for x in range(columns):
            centre = ((x + 0.5) / columns, (y + 0.5) / rows)
            distance = cv2.pointPolygonTest(corners, centre, measureDist=True)
            if abs(distance) > 1e-5:
                assert found[y, x] == (distance > 0)


@settings(max_examples=25)
@given(POLYGON, st.sampled_from([(8, 8), (4, 6), (16, 8)]))
def test_a_cell_is_left_out_if_any_of_it_lies_within_reach_of_the_mask(
    polygon: tuple[tuple[float, float], ...], grid: tuple[int, int]
) -> None:
    size = (128, 192)
    mask = Mask((polygon,))
    covered = np.argwhere(mask.covered(*size))
    kept = mask.over(size).kept(grid)
    high, wide = size[0] // grid[0], size[1] // grid[1]
    for row in range(grid[0]):
        for column in range(grid[1]):
            first = np.array([row * high, column * wide]) - REACH_PX
            end = np.array([(row + 1) * high, (column + 1) * wide]) + REACH_PX
            inside = ((covered >= first) & (covered < end)).all(axis=1).any()
            assert kept[row, column] == (not inside)


def square(left: float, top: float, side: float) -> tuple[tuple[float, float], ...]:
    return ((left, top), (left + side, top), (left + side, top + side), (left, top + side))


def test_pixels_are_shares_of_what_is_looked_at() -> None:
    mask = Mask.of_pixels((square(150, 60, 50),), (100, 50, 200, 100))
    assert mask.polygons == (((0.25, 0.1), (0.5, 0.1), (0.5, 0.6), (0.25, 0.6)),)
    assert mask.covered(100, 200).sum() == 50 * 50


@pytest.mark.parametrize(
    ("polygon", "sentence"),
    [
        pytest.param(square(10, 10, 40), "polygon 2 of the mask lies outside", id="outside"),
        pytest.param(((150, 60), (250, 60), (200, 60)), "or has no area", id="no-area"),
        pytest.param(square(0, 0, 400), "covers everything", id="everything"),
    ],
)
def test_a_mask_that_hides_nothing_or_everything_is_refused(
    polygon: tuple[tuple[float, float], ...], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        Mask.of_pixels((square(150, 60, 50), polygon), (100, 50, 200, 100))


def inside(polygon: Polygon, x: float, y: float) -> bool:
    """Count the edges that are crossed on the way to the right, one by one."""
    crossed = 0
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (y < y1) != (y < y2):
            crossed += x < x1 + (y - y1) * (x2 - x1) / (y2 - y1)
    return crossed % 2 == 1


CORNER = st.tuples(*[st.floats(-2, 2) | st.sampled_from([0.0, 0.5, 1.0, 1.5 / 9, 2.5 / 7])] * 2)


@settings(max_examples=60)
@given(st.lists(st.lists(CORNER, min_size=3, max_size=6).map(tuple), min_size=1, max_size=4))
def test_each_pixel_is_as_its_edges_counted_one_by_one_say(polygons: list[Polygon]) -> None:
    found = Mask(tuple(polygons)).covered(7, 9)
    for y in range(7):
        for x in range(9):
            centre = (x + 0.5) / 9, (y + 0.5) / 7
            assert found[y, x] == any(inside(one, *centre) for one in polygons)


def test_more_polygons_than_are_drawn_at_once_cover_what_each_does() -> None:
    many = tuple(square(0.01 * i, 0.009 * i, 0.02) for i in range(100))
    found = Mask(many).covered(64, 64)
    assert (found == np.any([Mask((one,)).covered(64, 64) for one in many], axis=0)).all()


@pytest.mark.parametrize(
    ("polygons", "sentence"),
    [
        pytest.param((square(0, 0, 1) * 512, square(0, 0, 1)), "2052 corners, 2048", id="many"),
        pytest.param(((*square(0, 0, 1), (0, 1e7)),), "nowhere near the view", id="far"),
        pytest.param(((*square(0, 0, 1), (0, np.nan)),), "nowhere near the view", id="nowhere"),
    ],
)
def test_a_mask_that_nobody_draws_is_refused(polygons: tuple[Polygon, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Mask.for_judging(polygons)
    with pytest.raises(ValueError, match=sentence):
        Mask.of_pixels(polygons, (0, 0, 1, 1))


def test_a_run_that_was_judged_under_more_corners_than_are_drawn_now_is_read() -> None:
    many = (square(0, 0, 0.5) * 512, square(0, 0, 0.5))
    camera = {"model": "ab", "calibration": "cd", "mask": many, "model_path": "m", "roi": None}
    read = msgspec.convert(camera, RunCamera)
    assert read.left_out == Mask(many)
    assert read.judge


def test_several_polygons_cover_what_each_does() -> None:
    one, other = square(0.1, 0.1, 0.2), square(0.2, 0.2, 0.4)
    both = Mask((one, other)).covered(50, 50)
    assert (both == (Mask((one,)).covered(50, 50) | Mask((other,)).covered(50, 50))).all()
    assert Mask((one, other)).digest != Mask((one,)).digest
