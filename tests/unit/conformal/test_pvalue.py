"""p-values and thresholds by enumeration, and by drawing again and again."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamline.conformal import ConformalTest, conformal_threshold, smallest_alpha


@given(
    st.lists(st.floats(0, 1e6), min_size=3, max_size=60, unique=True),
    st.floats(0.02, 0.9),
)
def test_one_frame_of_many_alike_fails_no_oftener_than_promised(
    scores: list[float], alpha: float
) -> None:
    # Exchangeable frames: each is as likely to be the next one as any other.
    if alpha < smallest_alpha(len(scores) - 1):
        return
    everything = np.array(scores)
    fails = sum(
        score > conformal_threshold(np.delete(everything, index), alpha=alpha)
        for index, score in enumerate(everything)
    )
    assert fails <= alpha * len(scores) + 1e-6


@given(st.integers(1, 400), st.floats(0.003, 0.9))
def test_no_lower_threshold_would_keep_the_promise(n: int, alpha: float) -> None:
    if alpha < smallest_alpha(n):
        return
    rank = conformal_threshold(np.arange(1.0, n + 1), alpha=alpha)
    assert (n + 1 - rank) / (n + 1) <= alpha + 1e-6
    assert rank == 1 or (n + 2 - rank) / (n + 1) > alpha - 1e-6


def test_the_smallest_rate_takes_the_largest_score() -> None:
    for n in range(1, 1500):
        assert conformal_threshold(np.arange(float(n)), alpha=smallest_alpha(n)) == n - 1


def test_a_rate_of_m_in_n_plus_1_lets_m_minus_1_scores_be_higher() -> None:
    # Rounding makes (n + 1)(1 - m / (n + 1)) more than n + 1 - m for many of them.
    for n in range(2, 60):
        for m in range(1, n + 1):
            assert conformal_threshold(np.arange(float(n)), alpha=m / (n + 1)) == n - m


def test_a_rate_the_frames_can_not_support_is_refused_with_how_many_can() -> None:
    with pytest.raises(ValueError, match=r"at least 99 normal frames, got 98"):
        conformal_threshold(np.arange(98.0), alpha=0.01)
    assert conformal_threshold(np.arange(99.0), alpha=0.01) == 98


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.5, float("nan")])
def test_a_rate_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"in \(0, 1\)"):
        conformal_threshold(np.arange(9.0), alpha=alpha)


def test_a_threshold_from_no_score_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 1 held-out score"):
        smallest_alpha(0)


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=60),
    st.floats(0.01, 0.9),
    st.floats(-1, 10) | st.integers(-1, 10).map(float),
)
def test_a_p_value_is_counted_and_a_frame_fails_exactly_if_it_is_at_most_alpha(
    held_out: list[int], alpha: float, score: float
) -> None:
    n = len(held_out)
    if alpha < smallest_alpha(n) or math.isclose(alpha * (n + 1), round(alpha * (n + 1))):
        return
    test = ConformalTest(np.array(held_out, np.float64), alpha=alpha)
    p_value = (1 + sum(one >= score for one in held_out)) / (n + 1)
    assert test.p_value(score) == p_value
    assert test.fails(score) == (p_value <= alpha) == (score > test.threshold)


def test_p_values_of_normal_frames_are_at_most_any_level_as_often_as_it_says() -> None:
    # Exchangeable scores of a skewed distribution with ties; each draw has its own held-out ones.
    generator = np.random.default_rng(7)
    draws, n = 4000, 39
    p_values = np.empty(draws)
    for draw in range(draws):
        scores = np.round(generator.exponential(size=n + 1), 2)
        p_values[draw] = ConformalTest(scores[:n], alpha=0.1).p_value(float(scores[n]))
    for level in (0.025, 0.05, 0.1, 0.25, 0.5):
        rate, error = float(np.mean(p_values <= level)), math.sqrt(level * (1 - level) / draws)
        assert rate <= level + 3 * error
        assert rate >= level - 3 * error - 0.03


def test_a_frame_without_a_score_has_no_p_value() -> None:
    with pytest.raises(ValueError, match="no p-value"):
        ConformalTest(np.arange(9.0), alpha=0.1).p_value(math.nan)


def test_a_score_beyond_all_that_is_normal_has_the_smallest_p_value() -> None:
    test = ConformalTest(np.arange(9.0), alpha=0.1)
    assert test.p_value(math.inf) == 0.1
    assert test.p_value(-math.inf) == 1.0
