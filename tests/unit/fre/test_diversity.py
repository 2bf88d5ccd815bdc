"""The effective number of frames in cases where everybody knows it."""

import numpy as np
import pytest

from streamline.fre import effective_count


def test_copies_of_one_frame_count_as_one() -> None:
    assert effective_count(np.full((50, 50), 7.0), noise=0.1) == pytest.approx(1)


def test_frames_far_apart_count_each() -> None:
    frames = np.random.default_rng(1).normal(size=(30, 1000))
    assert effective_count(frames, noise=1) == pytest.approx(30)


def test_equally_many_copies_of_three_frames_count_as_three() -> None:
    three = np.random.default_rng(2).normal(size=(3, 1000))
    assert effective_count(np.tile(three, (20, 1)), noise=1) == pytest.approx(3)


def test_noise_on_a_still_scene_counts_as_little_more_than_one() -> None:
    generator = np.random.default_rng(3)
    still = generator.normal(size=1000) + 0.5 * generator.normal(size=(80, 1000))
    apart = float(np.linalg.norm(still[0] - still[1]))
    assert 1 < effective_count(still, noise=apart) < 1.1


def test_where_the_frames_are_centred_does_not_matter() -> None:
    frames = np.random.default_rng(4).normal(size=(10, 20))
    assert effective_count(frames + 1e3, noise=2) == pytest.approx(effective_count(frames, noise=2))


def test_frames_are_compared_in_parts_of_any_number() -> None:
    frames = np.random.default_rng(5).normal(size=(700, 3))
    apart = np.linalg.norm(frames[:, None] - frames, axis=2)
    likeness = np.exp(-((apart / 2) ** 4))
    assert effective_count(frames, noise=1) == pytest.approx(1 / likeness.mean())


def test_what_lies_outside_the_coordinates_keeps_frames_apart() -> None:
    points = np.random.default_rng(6).normal(size=(40, 200))
    # The last 198 coordinates are unknown but for their size.
    outside = np.square(points[:, 2:]).sum(axis=1)
    whole = effective_count(points, noise=10)
    assert effective_count(points[:, :2], noise=10, outside=outside) == pytest.approx(
        whole, rel=0.02
    )
    assert effective_count(points[:, :2], noise=10) < 0.5 * whole


def test_noise_of_no_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"above 0, got 0"):
        effective_count(np.eye(3), noise=0)
