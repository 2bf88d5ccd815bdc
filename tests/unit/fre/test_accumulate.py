"""Spans put together from batches, against the span of all frames at once."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamline.fre import (
    Span,
    SpanBuilder,
    reconstruction_error,
    span_of,
    subspace_of,
)

Floats = npt.NDArray[np.floating]


def recording(n: int, d: int, *, seed: int, decay: float = 0.8) -> Floats:
    """Frames far from the origin whose mean drifts; read-only."""
    generator = np.random.default_rng(seed)
    few = min(n, d)
    frames = generator.normal(size=(n, few)) * decay ** np.arange(few)
    frames = frames @ np.linalg.qr(generator.normal(size=(d, few)))[0].T
    drift = np.linspace(0, 1, n)[:, None] * generator.normal(size=d)
    moved: Floats = frames + drift + 20
    moved.flags.writeable = False
    return moved


def built(frames: Floats, *, rows: int, rank: int, batch: int) -> Span:
    builder = SpanBuilder(rows=rows, rank=rank)
    for start in range(0, len(frames), batch):
        builder.add(frames[start : start + batch])
    assert builder.frames == len(frames)
    return builder.finish()


@settings(max_examples=60)
@given(
    st.integers(2, 40),
    st.integers(2, 60),
    st.integers(8, 30),
    st.integers(1, 25),
    st.integers(0, 9),
)
def test_any_batches_give_what_all_at_once_gives_where_no_axis_is_given_up(
    n: int, d: int, rank: int, batch: int, seed: int
) -> None:
    few = min(d, 7)
    frames = recording(n, few, seed=seed)
    lifted = frames @ np.linalg.qr(np.random.default_rng(seed).normal(size=(d, few)))[0].T
    span = built(lifted, rows=2 * rank, rank=rank, batch=batch)
    np.testing.assert_allclose(span.mean, lifted.mean(axis=0), atol=1e-4)
    centred = lifted - lifted.mean(axis=0)
    np.testing.assert_allclose(
        span.coordinates @ span.coordinates.T, centred @ centred.T, atol=1e-3
    )
    np.testing.assert_allclose(span.mean + span.lift(span.coordinates), lifted, atol=1e-3)
    np.testing.assert_allclose(span.outside, 0, atol=1e-3)
    assert span.discarded == pytest.approx(0, abs=1e-3)


def test_leading_directions_and_variances_are_those_of_all_frames_when_axes_are_given_up() -> None:
    frames = recording(900, 300, seed=1, decay=0.97)
    exact = span_of(frames)
    span = built(frames, rows=240, rank=120, batch=32)
    assert len(span.variances) == 120
    for rank in (10, 40, 60):
        axes = np.eye(rank, 300)
        cosines = np.linalg.svd(
            exact.lift(axes[:, : len(exact.variances)]).astype(float)
            @ span.lift(axes[:, :120]).T.astype(float),
            compute_uv=False,
        )
        assert cosines.min() > 0.9999
        np.testing.assert_allclose(span.variances[:rank], exact.variances[:rank], rtol=2e-3)
    whole = float(exact.variances.sum())
    assert float(span.variances.sum()) + span.discarded == pytest.approx(whole, rel=1e-4)


def test_each_frame_s_distance_from_the_mean_is_kept_when_axes_are_given_up() -> None:
    frames = recording(600, 300, seed=2, decay=0.97)
    span = built(frames, rows=200, rank=100, batch=50)
    distances = np.square(span.coordinates).sum(axis=1) + span.outside
    np.testing.assert_allclose(
        distances, np.square(frames - frames.mean(axis=0)).sum(axis=1), rtol=0.01
    )


def test_the_share_retained_counts_what_was_given_up() -> None:
    frames = recording(500, 200, seed=4, decay=0.99)
    subspace = subspace_of(built(frames, rows=80, rank=40, batch=10), retain=0.99, max_rank=30)
    centred = frames - frames.mean(axis=0)
    lost = np.square(reconstruction_error(frames, subspace)).sum() / np.square(centred).sum()
    assert subspace.rank == 30
    assert subspace.retained == pytest.approx(1 - lost, abs=0.01)


def test_frames_that_all_fit_are_decomposed_as_they_are() -> None:
    frames = recording(50, 300, seed=5).astype(np.float32)
    span, exact = built(frames, rows=50, rank=5, batch=7), span_of(frames)
    np.testing.assert_array_equal(span.variances, exact.variances)
    np.testing.assert_array_equal(span.coordinates, exact.coordinates)


def test_a_batch_may_be_changed_after_it_was_taken() -> None:
    frames = recording(20, 30, seed=6)
    builder = SpanBuilder(rows=40, rank=10)
    batch = frames.copy()
    builder.add(batch)
    batch[:] = 0
    np.testing.assert_allclose(builder.finish().mean, frames.mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("rank", [0, 6])
def test_more_axes_than_half_the_rows_are_refused(rank: int) -> None:
    with pytest.raises(ValueError, match=r"at least 1 and at most 5 can be axes"):
        SpanBuilder(rows=10, rank=rank)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_no_numbers_are_refused_when_frames_are_merged(value: float) -> None:
    frames = recording(20, 30, seed=7).copy()
    frames[3, 4] = value
    with pytest.raises(ValueError, match=r"no finite numbers"):
        built(frames, rows=8, rank=4, batch=4)


def test_copies_of_one_frame_are_refused_when_frames_are_merged() -> None:
    frames = np.repeat(recording(2, 30, seed=8)[:1], 20, axis=0)
    with pytest.raises(ValueError, match=r"do not differ"):
        built(frames, rows=8, rank=4, batch=4)
