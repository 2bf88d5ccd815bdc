"""Held-out errors of frames that are merged, against fits without those frames and new frames."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from streamline.fre import (
    Progressive,
    SpanBuilder,
    Subspace,
    contiguous_blocks,
    crossfit_errors,
    fit_subspace,
    reconstruction_error,
    span_of,
    subspace_of,
)

Floats = npt.NDArray[np.floating]


def drifting(n: int, d: int, *, seed: int, decay: float) -> Floats:
    generator = np.random.default_rng(seed)
    frames = generator.normal(size=(n, min(n, d))) * decay ** np.arange(min(n, d))
    frames = frames @ np.linalg.qr(generator.normal(size=(d, min(n, d))))[0].T
    moved: Floats = frames + np.linspace(0, 1, n)[:, None] * generator.normal(size=d) + 20
    return moved.astype(np.float32)


def noisy(n: int, d: int, *, seed: int) -> Floats:
    """Frames much of whose variance is their own, as that of noise is."""
    generator = np.random.default_rng(seed)
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(d, 300)))[0].T
    parts = generator.normal(size=(n, 300)) * np.arange(1, 301) ** -0.6
    frames: Floats = parts @ basis + 0.02 * generator.normal(size=(n, d)) + 1
    return frames.astype(np.float32)


def merged(
    frames: Floats, held_out: Progressive, *, rows: int, rank: int, gap: int
) -> tuple[npt.NDArray[np.float64], Subspace]:
    builder = SpanBuilder(rows=rows, rank=rank, held_out=held_out, gap=gap)
    for start in range(0, len(frames), 7):
        builder.add(frames[start : start + 7])
    subspace = subspace_of(builder.finish(), retain=0.9, max_rank=40)
    return held_out.errors, subspace


def test_each_run_is_judged_by_a_fit_to_the_frames_before_it_less_its_neighbours() -> None:
    frames = drifting(130, 60, seed=1, decay=0.9)
    held_out = Progressive(blocks=4, gap=3, shares=[0.9, 0.7], max_rank=12)
    errors, _ = merged(frames, held_out, rows=40, rank=20, gap=3)
    assert errors.shape == (2, 130)
    first = span_of(frames[:40])
    runs = contiguous_blocks(40, count=4)
    np.testing.assert_allclose(
        errors[:, :40],
        crossfit_errors(first, blocks=runs, gap=3, shares=[0.9, 0.7], max_rank=12),
        rtol=1e-5,
    )
    # 40 frames but the last 3 are merged, then as often as 20 axes leave room for 20 more.
    starts = [40, *range(57, 130, 17)]
    later = [slice(start, end) for start, end in pairwise([*starts, 130])]
    assert held_out.runs == runs + later
    for start, end in pairwise([*starts, 130]):
        before = frames[: start - 3]
        for row, retain in enumerate([0.9, 0.7]):
            exact = fit_subspace(before, retain=retain, max_rank=12)
            wanted = reconstruction_error(frames[start:end], exact)
            np.testing.assert_allclose(errors[row, start:end], wanted, rtol=2e-2)


@pytest.mark.parametrize("n", [240, 500])
def test_errors_of_noisy_frames_are_those_of_frames_the_fit_never_sees(n: int) -> None:
    held_out = Progressive(blocks=10, gap=3, shares=[0.9], max_rank=40)
    errors, subspace = merged(noisy(n, 400, seed=n), held_out, rows=160, rank=80, gap=3)
    unseen = reconstruction_error(noisy(300, 400, seed=9), subspace)
    for share in (0.5, 0.95):
        # Fits to some of the frames know less than the final one, so they may be above.
        # From the coordinates of the merged span it would be 0.95 and less.
        assert 0.995 < np.quantile(errors, share) / np.quantile(unseen, share) < 1.1


def test_frames_that_never_had_to_be_merged_are_not_judged() -> None:
    held_out = Progressive(blocks=4, gap=1, shares=[0.9])
    builder = SpanBuilder(rows=40, rank=20, held_out=held_out, gap=1)
    builder.add(noisy(40, 400, seed=1))
    builder.finish()
    assert not held_out.runs


def test_no_more_frames_wait_than_can_be_merged() -> None:
    with pytest.raises(ValueError, match=r"0 to 4 can wait"):
        SpanBuilder(rows=10, rank=5, gap=5)
