"""What is kept of normal frames."""

import numpy as np
import pytest

from streamline.scene import Range, ReferenceBuilder
from streamline.scene.look import Look


def looks(brightness: np.ndarray[tuple[int], np.dtype[np.float64]]) -> ReferenceBuilder:
    builder = ReferenceBuilder()
    for number, level in enumerate(brightness):
        grey = np.full((64, 64), number % 200, np.float32)
        builder.add_look(Look(float(level), 2 * float(level), 0.5, grey))
    return builder


def test_ranges_are_those_of_means_over_eighths() -> None:
    levels = np.random.default_rng(0).normal(100, 20, 800)
    reference = looks(levels).finish()
    means = levels.reshape(8, 100).mean(axis=1)
    assert reference.brightness == pytest.approx((means.min(), means.max()))
    assert reference.contrast == pytest.approx((2 * means.min(), 2 * means.max()))
    assert reference.sharpness == Range(0.5, 0.5)


def test_blocks_of_a_long_recording_have_no_more_than_256_frames() -> None:
    levels = np.zeros(256 * 20)
    levels[256 * 7 : 256 * 8] = 100
    assert looks(levels).finish().brightness == Range(0, 100)


@pytest.mark.parametrize("count", [1, 7, 16, 17, 200, 1001])
def test_the_thumbnail_is_the_mean_of_all_frames(count: int) -> None:
    reference = looks(np.ones(count)).finish()
    mean = np.mean(np.arange(count) % 200)
    assert set(np.unique(reference.thumbnail)) == {np.uint8(np.rint(mean))}


def test_frames_of_one_view_agree_and_those_of_many_do_not() -> None:
    rng = np.random.default_rng(0)
    one, many = ReferenceBuilder(), ReferenceBuilder()
    view = rng.normal(128, 30, (64, 64)).astype(np.float32)
    for _ in range(100):
        noise = rng.normal(0, 20, view.shape).astype(np.float32)
        one.add_look(Look(100, 30, 0.3, view + noise))
        other = rng.normal(128, 30, (64, 64)).astype(np.float32)
        many.add_look(Look(100, 30, 0.3, other))
    assert one.finish().agreement > 0.8
    assert many.finish().agreement < 0.2


def test_no_frames_are_no_reference() -> None:
    with pytest.raises(ValueError, match="needs a frame at least"):
        ReferenceBuilder().finish()
