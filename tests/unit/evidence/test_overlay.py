"""The heat map over the picture."""

import numpy as np
import numpy.typing as npt
import pytest

from streamline.colour import to_rgb
from streamline.evidence import overlay
from streamline.messages import Picture, PixelFormat

Bytes = npt.NDArray[np.uint8]


def gray(height: int = 240, width: int = 320) -> Picture:
    pixels = np.random.default_rng(3).integers(60, 90, (height, width), np.uint8)
    pixels.flags.writeable = False
    return Picture(format=PixelFormat.GRAY, planes=(pixels,))


def hot_at(row: int, column: int) -> npt.NDArray[np.float16]:
    heat = np.full((8, 8), 0.1, np.float16)
    heat[row, column] = 5.0
    return heat


def coloured(drawn: Bytes) -> npt.NDArray[np.bool_]:
    """Where colour came in; the text is black and white."""
    return np.asarray(np.ptp(drawn.astype(int), axis=2) > 8)


def test_the_heat_is_where_the_map_is_hot_and_nowhere_else() -> None:
    picture = gray()
    drawn = overlay(picture, hot_at(5, 6), score=2.0, threshold=1.0)
    assert drawn.shape == (240, 320, 3)
    rows, columns = np.nonzero(coloured(drawn))
    # The cell's centre is (5.5, 6.5) of 8; linear interpolation reaches one cell further.
    assert rows.mean() == pytest.approx(5.5 / 8 * 240, abs=3)
    assert columns.mean() == pytest.approx(6.5 / 8 * 320, abs=3)
    assert rows.min() >= 4.5 / 8 * 240 - 1
    assert columns.min() >= 5.5 / 8 * 320 - 1
    outside = np.s_[60:110, :]
    assert np.array_equal(drawn[outside], to_rgb(picture)[outside])


def test_the_map_of_a_region_is_drawn_into_that_region() -> None:
    picture = gray()
    drawn = overlay(picture, hot_at(0, 0), score=2.0, threshold=1.0, roi=(200, 100, 80, 80))
    rows, columns = np.nonzero(coloured(drawn))
    assert (rows.min(), columns.min()) == (100, 200)
    assert rows.max() < 100 + 1.6 / 8 * 80
    assert columns.max() < 200 + 1.6 / 8 * 80


@pytest.mark.parametrize(
    "heat",
    [
        pytest.param(None, id="none"),
        pytest.param(np.zeros((8, 8), np.float16), id="flat"),
        pytest.param(np.full((8, 8), np.nan, np.float16), id="nan"),
        pytest.param(np.where(np.eye(8) > 0, np.inf, 0).astype(np.float16), id="infinite"),
    ],
)
def test_a_map_that_says_nothing_leaves_the_picture_and_the_text(
    heat: npt.NDArray[np.float16] | None,
) -> None:
    picture = gray()
    drawn = overlay(picture, heat, score=float("nan"), threshold=1.0)
    assert np.array_equal(drawn[40:], to_rgb(picture)[40:])
    assert (drawn[:40] != to_rgb(picture)[:40]).any()


def test_the_text_tells_score_and_threshold() -> None:
    one, same, other = (
        overlay(gray(), None, score=score, threshold=1.0)[:40] for score in (2.0, 2.0, 3.0)
    )
    assert np.array_equal(one, same)
    assert (one != other).any()
