"""Thresholds by enumeration, and held-out errors by fitting again and again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamline.fre import (
    conformal_threshold,
    contiguous_blocks,
    crossfit_errors,
    fit_subspace,
    reconstruction_error,
    smallest_alpha,
    span_of,
)


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


@given(st.integers(2, 300), st.data())
def test_blocks_are_contiguous_and_cover_every_frame_once(n: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(2, n))
    blocks = contiguous_blocks(n, count=count)
    assert [i for block in blocks for i in range(block.start, block.stop)] == list(range(n))
    lengths = {block.stop - block.start for block in blocks}
    assert len(blocks) == count
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("count", [1, 6])
def test_a_number_of_blocks_that_makes_no_sense_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=r"2 to 5 blocks"):
        contiguous_blocks(5, count=count)


@pytest.mark.parametrize("gap", [0, 1, 4])
@pytest.mark.parametrize("max_rank", [None, 5])
def test_held_out_errors_are_those_of_fitting_to_the_other_blocks(
    gap: int, max_rank: int | None
) -> None:
    generator = np.random.default_rng(gap)
    frames = (
        generator.normal(size=(31, 31)) * 0.8 ** np.arange(31) @ generator.normal(size=(31, 400))
    )
    frames += 30
    blocks = contiguous_blocks(31, count=4)
    shares = [0.95, 0.9, 0.5]
    fast = crossfit_errors(
        span_of(frames), blocks=blocks, gap=gap, shares=shares, max_rank=max_rank
    )
    for block in blocks:
        inside = np.arange(31)
        others = frames[(inside < block.start - gap) | (inside >= block.stop + gap)]
        for share, errors in zip(shares, fast, strict=True):
            subspace = fit_subspace(others, retain=share, max_rank=max_rank)
            slow = reconstruction_error(frames[block], subspace)
            np.testing.assert_allclose(errors[block], slow, rtol=1e-5)


def test_held_out_frames_score_higher_than_fitted_ones() -> None:
    frames = np.random.default_rng(2).normal(size=(40, 300))
    (heldout,) = crossfit_errors(
        span_of(frames), blocks=contiguous_blocks(40, count=5), gap=1, shares=[0.9]
    )
    fitted = reconstruction_error(frames, fit_subspace(frames, retain=0.9))
    assert np.median(heldout) > 1.5 * np.median(fitted)


def test_a_block_that_leaves_nothing_to_fit_is_refused() -> None:
    span = span_of(np.random.default_rng(3).normal(size=(4, 9)))
    with pytest.raises(ValueError, match=r"4 frames are too few to hold out 2"):
        crossfit_errors(span, blocks=[slice(0, 2), slice(2, 4)], gap=1, shares=[0.9])
