"""Held-out errors by fitting again and again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamline.fre import (
    contiguous_blocks,
    crossfit_errors,
    fit_subspace,
    reconstruction_error,
    span_of,
)


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
