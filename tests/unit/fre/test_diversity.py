"""The effective number of frames in cases where everybody knows it."""

import numpy as np
import pytest

from streamline.fre import centred_gram, effective_count


def test_copies_of_one_frame_count_as_one() -> None:
    gram = np.full((50, 50), 7.0)
    assert effective_count(gram, noise=0.1) == pytest.approx(1)


def test_frames_far_apart_count_each() -> None:
    gram, _ = centred_gram(np.random.default_rng(1).normal(size=(30, 1000)))
    assert effective_count(gram, noise=1) == pytest.approx(30)


def test_equally_many_copies_of_three_frames_count_as_three() -> None:
    three = np.random.default_rng(2).normal(size=(3, 1000))
    gram, _ = centred_gram(np.tile(three, (20, 1)))
    assert effective_count(gram, noise=1) == pytest.approx(3)


def test_noise_on_a_still_scene_counts_as_little_more_than_one() -> None:
    generator = np.random.default_rng(3)
    still = generator.normal(size=1000) + 0.5 * generator.normal(size=(80, 1000))
    gram, _ = centred_gram(still)
    apart = float(np.linalg.norm(still[0] - still[1]))
    assert 1 < effective_count(gram, noise=apart) < 1.1


def test_where_the_frames_are_centred_does_not_matter() -> None:
    frames = np.random.default_rng(4).normal(size=(10, 20))
    gram, _ = centred_gram(frames)
    assert effective_count(frames @ frames.T, noise=2) == pytest.approx(
        effective_count(gram, noise=2)
    )


def test_noise_of_no_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"above 0, got 0"):
        effective_count(np.eye(3), noise=0)
