"""The subspace against NumPy's own decomposition, and against the known ways to get it wrong."""

from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from streamline.fre import (
    HOST,
    Solver,
    Subspace,
    fit_subspace,
    rank_for,
    reconstruction_error,
    smaller_shares,
    span_of,
)
from streamline.fre.span import decompose

Floats = npt.NDArray[np.floating]


@st.composite
def clouds(draw: st.DrawFn) -> Floats:
    """Points that differ, far from the origin, and read-only."""
    shape = draw(array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9))
    values = st.floats(-8, 8, width=32)
    cloud = draw(arrays(np.float64, shape, elements=values))
    cloud = cloud + draw(st.sampled_from([0.0, 3.0, -50.0]))
    cloud[0, 0] += 20  # So that no two draws can be all alike.
    cloud.flags.writeable = False
    return cloud


SOLVERS = st.sampled_from(get_args(Solver))


@given(clouds(), st.floats(0.01, 1.0), SOLVERS)
def test_a_fit_explains_what_was_asked_and_leaves_its_input_alone(
    cloud: Floats, retain: float, solver: Solver
) -> None:
    subspace = fit_subspace(cloud, retain=retain, solver=solver)
    lost = np.square(reconstruction_error(cloud, subspace)).sum()
    total = np.square(cloud - cloud.mean(axis=0)).sum()
    assert lost <= (1 - retain + 1e-5) * total


@given(clouds(), st.floats(0.01, 0.99), SOLVERS)
def test_no_smaller_subspace_would_explain_as_much(
    cloud: Floats, retain: float, solver: Solver
) -> None:
    subspace = fit_subspace(cloud, retain=retain, solver=solver)
    singular = np.linalg.svd(cloud - cloud.mean(axis=0), compute_uv=False)
    share = np.cumsum(np.square(singular)) / np.square(singular).sum()
    fewer = subspace.rank - 1
    assert fewer == 0 or share[fewer - 1] < retain + 1e-9


@given(clouds(), st.floats(-1000, 1000))
def test_errors_do_not_depend_on_where_the_origin_is(cloud: Floats, shift: float) -> None:
    near = reconstruction_error(cloud, fit_subspace(cloud, retain=0.7))
    moved = cloud + shift
    far = reconstruction_error(moved, fit_subspace(moved, retain=0.7))
    np.testing.assert_allclose(far, near, atol=1e-3)


@given(clouds())
def test_directions_are_orthonormal(cloud: Floats) -> None:
    directions = fit_subspace(cloud, retain=1.0).directions
    np.testing.assert_allclose(directions @ directions.T, np.eye(len(directions)), atol=1e-5)


@given(clouds())
def test_the_mean_itself_has_no_error(cloud: Floats) -> None:
    subspace = fit_subspace(cloud, retain=0.5)
    error = reconstruction_error(cloud.mean(axis=0, keepdims=True), subspace)
    assert error == pytest.approx(0, abs=1e-4)


def tall(seed: int, n: int = 30, d: int = 500) -> Floats:
    """Frames whose singular values are well apart, float32 as features are."""
    generator = np.random.default_rng(seed)
    few = min(n, d)
    mixed = generator.normal(size=(n, few)) * 0.7 ** np.arange(few)
    frames = mixed @ generator.normal(size=(few, d)) + 40 * generator.normal(size=d)
    return frames.astype(np.float32)


@pytest.mark.parametrize("solver", get_args(Solver))
@pytest.mark.parametrize("shape", [(30, 500), (500, 30)], ids=["few-frames", "few-features"])
@pytest.mark.parametrize("retain", [0.5, 0.9, 0.99])
def test_directions_are_those_of_the_singular_value_decomposition(
    retain: float, shape: tuple[int, int], solver: Solver
) -> None:
    frames = tall(1, *shape)
    subspace = fit_subspace(frames, retain=retain, solver=solver)
    wide = frames.astype(np.float64)
    _, singular, rows = np.linalg.svd(wide - wide.mean(axis=0), full_matrices=False)
    # Cosines of the principal angles between the two subspaces.
    cosines = np.linalg.svd(subspace.directions @ rows[: subspace.rank].T, compute_uv=False)
    np.testing.assert_allclose(cosines, 1, atol=1e-6)
    kept = singular[: len(subspace.singular_values)]
    # The Gram matrix squares them, so the smallest are known to half the digits only.
    np.testing.assert_allclose(subspace.singular_values, kept, rtol=1e-9, atol=1e-8 * kept[0])
    np.testing.assert_allclose(subspace.mean, wide.mean(axis=0), rtol=1e-6)


def test_one_dominant_direction_is_one_direction() -> None:
    frames = np.outer(np.arange(10.0), [3.0, 4.0, 0.0]) + np.eye(10, 3) * 1e-4
    subspace = fit_subspace(frames, retain=0.97)
    assert subspace.rank == 1
    np.testing.assert_allclose(np.abs(subspace.directions[0]), [0.6, 0.8, 0], atol=1e-4)


def test_columns_taken_in_parts_give_the_same_as_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = tall(2)
    whole = HOST.gram(frames)
    monkeypatch.setattr("streamline.fre.algebra._CHUNK_BYTES", 8 * len(frames) * 7)
    parts = HOST.gram(frames)
    np.testing.assert_allclose(parts.products, whole.products, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-6)
    assert parts.energy == pytest.approx(whole.energy)
    assert fit_subspace(frames, retain=0.9).rank == fit_subspace(frames, retain=0.9).rank
    wide = frames - frames.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(parts.products, wide @ wide.T, rtol=1e-9, atol=1e-6)


def test_small_variation_on_a_large_mean_is_not_lost() -> None:
    small = np.random.default_rng(3).normal(size=(12, 300))
    gram = HOST.gram(small + 1e7).products
    centred = small - small.mean(axis=0)
    np.testing.assert_allclose(gram, centred @ centred.T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("retain", [0.3, 0.8, 0.95])
def test_reducing_a_subspace_is_fitting_a_smaller_one(retain: float) -> None:
    frames = tall(4)
    reduced = fit_subspace(frames, retain=0.99).reduced(retain=retain)
    fitted = fit_subspace(frames, retain=retain)
    assert reduced.rank == fitted.rank
    assert reduced.retained == pytest.approx(fitted.retained)
    np.testing.assert_array_equal(reduced.directions, fitted.directions)


def test_a_subspace_is_not_reduced_to_more_than_it_has() -> None:
    capped = fit_subspace(tall(5), retain=0.99, max_rank=4)
    assert capped.reduced(retain=0.98).rank == 4
    assert capped.reduced(retain=0.3).rank == fit_subspace(tall(5), retain=0.3).rank < 4


def test_shares_to_reduce_to_are_the_fit_s_own_and_smaller_multiples_of_a_half_percent() -> None:
    shares = smaller_shares(0.995)
    assert len(shares) == 100
    assert shares[:3] == [0.995, 0.99, 0.985]
    assert shares[-1] == 0.5
    assert smaller_shares(0.9)[:2] == [0.9, 0.895]
    assert smaller_shares(0.5) == [0.5]
    assert smaller_shares(0.3) == [0.3]


@pytest.mark.parametrize("solver", get_args(Solver))
@pytest.mark.parametrize("shape", [(12, 90), (90, 12)], ids=["few-frames", "few-features"])
def test_coordinates_keep_distances_and_lead_back_to_the_features(
    shape: tuple[int, int], solver: Solver
) -> None:
    frames = np.random.default_rng(11).normal(size=shape) + 5
    frames.flags.writeable = False
    span = span_of(frames, solver=solver)
    np.testing.assert_allclose(span.mean + span.lift(span.coordinates), frames, atol=1e-5)
    centred = frames - frames.mean(axis=0)
    np.testing.assert_allclose(
        span.coordinates @ span.coordinates.T, centred @ centred.T, atol=1e-9 * shape[1]
    )
    np.testing.assert_allclose(np.square(span.coordinates).sum(axis=0), span.variances, rtol=1e-6)


def test_the_largest_rank_is_kept_to() -> None:
    frames = tall(6)
    capped = fit_subspace(frames, retain=0.99, max_rank=3)
    assert capped.rank == 3
    assert capped.retained < 0.99
    assert fit_subspace(frames, retain=0.5, max_rank=29).rank < 29


def test_frames_that_do_not_differ_are_refused() -> None:
    frames = np.repeat(np.random.default_rng(7).normal(size=(1, 50)), 9, axis=0)
    with pytest.raises(ValueError, match=r"do not differ"):
        fit_subspace(frames, retain=0.9)


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        pytest.param(np.ones((1, 5)), "at least 2 frames", id="one-frame"),
        pytest.param(np.ones((3, 0)), "at least 2 frames", id="no-feature"),
        pytest.param(np.array([[1.0, np.nan], [2.0, 3.0]]), "no finite numbers", id="nan"),
        pytest.param(np.array([[1.0, np.inf], [2.0, 3.0]]), "no finite numbers", id="infinity"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_has_no_subspace_is_refused(frames: Floats, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        fit_subspace(frames, retain=0.9)


@pytest.mark.parametrize("retain", [0.0, -0.1, 1.01, float("nan")])
def test_a_share_out_of_range_is_refused(retain: float) -> None:
    with pytest.raises(ValueError, match=r"in \(0, 1\]"):
        rank_for(np.array([2.0, 1.0]), retain=retain)


def test_a_largest_rank_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 1, got 0"):
        rank_for(np.array([2.0, 1.0]), retain=0.5, max_rank=0)


def test_the_spectrum_has_one_direction_less_than_frames() -> None:
    gram = HOST.gram(tall(8))
    spectrum = decompose(gram.products, energy=gram.energy)
    assert len(spectrum.variances) == 29
    assert np.all(np.diff(spectrum.variances) <= 0)


def test_half_precision_directions_move_a_held_out_error_by_less_than_a_ten_thousandth() -> None:
    frames = tall(9, n=60, d=4000)
    subspace = fit_subspace(frames[:40], retain=0.9)
    halved = Subspace(
        mean=subspace.mean,
        directions=subspace.directions.astype(np.float16),
        singular_values=subspace.singular_values,
    )
    exact = reconstruction_error(frames[40:], subspace)
    np.testing.assert_allclose(reconstruction_error(frames[40:], halved), exact, rtol=1e-4)
