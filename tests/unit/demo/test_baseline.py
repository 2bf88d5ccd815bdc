"""Frame differencing, the rival."""

import numpy as np
import numpy.typing as npt
import pytest

from streamline.demo import Differencing

Images = npt.NDArray[np.uint8]


@pytest.fixture
def normal() -> Images:
    """A bright square that stands at one of four places, in noise."""
    rng = np.random.default_rng(0)
    frames = np.full((60, 64, 64, 3), 90.0)
    for number, frame in enumerate(frames):
        left = 8 + 8 * (number % 4)
        frame[20:40, left : left + 20] = 170
    return np.clip(frames + rng.normal(0, 2, frames.shape), 0, 255).astype(np.uint8)


def test_a_reference_differs_in_nothing_from_itself(normal: Images) -> None:
    assert Differencing(normal, threshold=0.0).score(normal).max() == 0


def test_the_score_is_the_largest_smoothed_difference(normal: Images) -> None:
    changed = normal[:1].copy()
    changed[0, 50:, 50:] = np.minimum(changed[0, 50:, 50:], 205) + 50
    # A corner far larger than the smoothing keeps its full difference.
    score = Differencing(normal, threshold=0.0).score(changed)
    assert score[0] == pytest.approx(50, abs=1)


def test_no_frame_it_was_calibrated_on_is_above_the_threshold(normal: Images) -> None:
    rival = Differencing.fit(normal)
    assert 0 < rival.threshold < 20
    assert (rival.score(normal) <= rival.threshold).all()


def test_a_plain_defect_is_found(normal: Images) -> None:
    defective = normal[5:6].copy()
    defective[0, 4:14, 4:14] = 250
    rival = Differencing.fit(normal)
    assert rival.score(defective)[0] > 3 * rival.threshold


def test_frames_are_not_written_to(normal: Images) -> None:
    normal.flags.writeable = False
    before = normal.copy()
    Differencing.fit(normal).score(normal)
    np.testing.assert_array_equal(normal, before)
