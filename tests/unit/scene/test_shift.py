"""Phase correlation against pictures whose shift is known."""

import cv2
import numpy as np
import pytest

from streamline.scene import THUMBNAIL
from streamline.scene.shift import ViewFinder


def view(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A smooth random picture, larger than a thumbnail on all sides."""
    noise = np.random.default_rng(seed).normal(128, 60, (4 * THUMBNAIL, 4 * THUMBNAIL))
    return np.asarray(cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 2) * 4, np.float32)


def cut(
    big: np.ndarray[tuple[int, ...], np.dtype[np.float32]], rows: int, columns: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A thumbnail whose pixels are squares of two; offsets in halves of its pixels."""
    top, left = THUMBNAIL + rows, THUMBNAIL + columns
    part = big[top : top + 2 * THUMBNAIL, left : left + 2 * THUMBNAIL]
    return np.asarray(cv2.resize(part, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize(
    ("rows", "columns"), [(0, 0), (6, 0), (0, -6), (3, 4), (-11, 7), (1, 0), (0, 5)]
)
def test_a_shift_is_found_to_a_quarter_of_a_pixel(rows: int, columns: int) -> None:
    big = view(0)
    found = ViewFinder(cut(big, 0, 0)).shift(cut(big, rows, columns))
    assert found.share * THUMBNAIL == pytest.approx(np.hypot(rows, columns) / 2, abs=0.25)
    assert found.peak > 0.4


def test_light_and_contrast_do_not_count() -> None:
    big = view(1)
    plain, other = cut(big, 0, 0), cut(big, 0, 6)
    finder = ViewFinder(plain)
    assert finder.shift(0.4 * other + 90) == pytest.approx(finder.shift(other), abs=1e-3)


def test_equal_views_agree_wholly_and_unrelated_ones_hardly() -> None:
    finder = ViewFinder(cut(view(2), 0, 0))
    assert finder.shift(cut(view(2), 0, 0)).peak == pytest.approx(1, abs=1e-6)
    assert max(finder.shift(cut(view(seed), 0, 0)).peak for seed in range(3, 23)) < 0.2


def test_a_picture_of_one_grey_shows_no_view() -> None:
    flat = np.full((THUMBNAIL, THUMBNAIL), 128, np.float32)
    assert ViewFinder(cut(view(4), 0, 0)).shift(flat).peak < 0.2
