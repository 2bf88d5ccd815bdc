"""Matching pursuit against scikit-learn, least squares on the features, and its own laws."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import orthogonal_mp_gram

from streamline import backbone
from streamline.infer import Compute, extract_features
from streamline.preprocess import prepare
from streamline.sgfr import (
    Level,
    Pursuit,
    gram_of,
    orthogonal_matching_pursuit,
    reference_pursuit,
)
from streamline.source import image_paths, read_image

Doubles = npt.NDArray[np.float64]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Doubles, Doubles]:
    """A bank of few or many frames, alike or not, and frames to represent; read-only."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, d, b = draw(st.integers(1, 12)), draw(st.integers(2, 30)), draw(st.integers(1, 5))
    # As features are: with much in common.
    common = draw(st.sampled_from([0.0, 5.0])) * generator.normal(size=d)
    bank = generator.normal(size=(n, d)) * draw(st.sampled_from([0.1, 1.0, 1e3])) + common
    frames = generator.normal(size=(b, d)) + common
    bank.flags.writeable = frames.flags.writeable = False
    return bank, frames


def pursue(bank: Doubles, frames: Doubles, *, sparsity: int, tolerance: float = 0.0) -> Pursuit:
    return orthogonal_matching_pursuit(
        gram_of(bank),
        frames @ bank.T,
        np.square(frames).sum(axis=1),
        sparsity=sparsity,
        tolerance=tolerance,
    )


def residual_of(bank: Doubles, frame: Doubles, found: Pursuit, row: int) -> Doubles:
    support = found.support[row]
    there = support >= 0
    rebuilt: Doubles = found.coefficients[row, there] @ bank[support[there]]
    return frame - rebuilt


@given(problems(), st.integers(1, 6))
def test_the_residual_is_orthogonal_to_what_was_chosen(
    problem: tuple[Doubles, Doubles], sparsity: int
) -> None:
    bank, frames = problem
    found = pursue(bank, frames, sparsity=sparsity)
    for row, frame in enumerate(frames):
        residual = residual_of(bank, frame, found, row)
        chosen = bank[found.support[row][found.support[row] >= 0]]
        cosines = chosen @ residual / np.linalg.norm(chosen, axis=1) / np.linalg.norm(frame)
        np.testing.assert_allclose(cosines, 0, atol=1e-6)


@given(problems(), st.integers(1, 12))
def test_the_error_never_grows_and_is_that_of_the_residual(
    problem: tuple[Doubles, Doubles], sparsity: int
) -> None:
    bank, frames = problem
    found = pursue(bank, frames, sparsity=sparsity)
    assert (np.diff(found.squared_errors, axis=1) <= 0).all()
    for row, frame in enumerate(frames):
        residual = residual_of(bank, frame, found, row)
        whole = found.squared_errors[row, 0]
        assert found.squared_errors[row, -1] == pytest.approx(residual @ residual, abs=1e-8 * whole)
    np.testing.assert_allclose(found.errors, np.sqrt(found.squared_errors[:, -1]))


@given(problems(), st.integers(1, 5))
def test_choices_and_coefficients_are_those_of_least_squares_on_the_features(
    problem: tuple[Doubles, Doubles], sparsity: int
) -> None:
    bank, frames = problem
    sparsity = min(sparsity, *bank.shape)
    found = pursue(bank, frames, sparsity=sparsity)
    for row, frame in enumerate(frames):
        support, coefficients, residual = reference_pursuit(bank, frame, sparsity=sparsity)
        if np.linalg.norm(residual) < 1e-4 * np.linalg.norm(frame):
            continue  # What is left is rounding, and so is the choice.
        assert found.support[row].tolist() == support
        np.testing.assert_allclose(found.coefficients[row], coefficients, rtol=1e-6, atol=1e-6)


@given(problems(), st.integers(1, 6))
def test_a_frame_is_represented_alike_alone_and_among_others(
    problem: tuple[Doubles, Doubles], sparsity: int
) -> None:
    bank, frames = problem
    together = pursue(bank, frames, sparsity=sparsity)
    for row in range(len(frames)):
        alone = pursue(bank, frames[row : row + 1], sparsity=sparsity)
        np.testing.assert_allclose(
            alone.squared_errors[0],
            together.squared_errors[row],
            rtol=1e-9,
            atol=1e-9 * together.squared_errors[row, 0],
        )


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_a_sparse_combination_is_found_again(seed: int, count: int) -> None:
    # With orthogonal frames matching pursuit is exact, whatever the combination.
    generator = np.random.default_rng(seed)
    bank = np.linalg.qr(generator.normal(size=(30, 20)))[0].T * generator.uniform(0.1, 9, (20, 1))
    chosen = generator.choice(20, size=count, replace=False)
    weights = generator.uniform(0.5, 2, count) * generator.choice([-1.0, 1.0], count)
    frame = weights @ bank[chosen]
    found = pursue(bank, frame[None], sparsity=10, tolerance=1e-6 * float(np.linalg.norm(frame)))
    there = found.support[0] >= 0
    expected = dict(zip(chosen.tolist(), weights.tolist(), strict=True))
    result = dict(
        zip(found.support[0, there].tolist(), found.coefficients[0, there].tolist(), strict=True)
    )
    assert result.keys() == expected.keys()
    for column, weight in expected.items():
        assert result[column] == pytest.approx(weight)


def scikit_learn(bank: Doubles, frames: Doubles, *, sparsity: int) -> Doubles:
    """Coefficients for all columns, shape (n, b); it chooses rightly for unit columns only."""
    norms = np.linalg.norm(bank, axis=1)
    unit = bank / norms[:, None]
    found = orthogonal_mp_gram(unit @ unit.T, unit @ frames.T, n_nonzero_coefs=sparsity)
    return np.asarray(found.reshape(len(bank), -1) / norms[:, None], np.float64)


def spread(found: Pursuit, n: int) -> Doubles:
    whole = np.zeros((n, len(found.support)))
    for row, (columns, weights) in enumerate(zip(found.support, found.coefficients, strict=True)):
        whole[columns, row] = weights
    return whole


@pytest.mark.parametrize("sparsity", [1, 5, 20])
def test_random_frames_get_scikit_learn_s_coefficients(sparsity: int) -> None:
    generator = np.random.default_rng(1)
    bank, frames = generator.normal(2, 1, (60, 200)), generator.normal(2, 1, (9, 200))
    found = pursue(bank, frames, sparsity=sparsity)
    np.testing.assert_allclose(
        spread(found, 60), scikit_learn(bank, frames, sparsity=sparsity), atol=1e-10
    )


@pytest.mark.parametrize("sparsity", [10, 30])
def test_real_bottles_get_scikit_learn_s_coefficients(shared_dir: Path, sparsity: int) -> None:
    bottle = shared_dir / "data" / "mvtec" / "bottle"
    bank = features(image_paths(bottle / "train" / "good")[:60])
    frames = features(image_paths(bottle / "test" / "broken_large")[:4])
    found = Level(bank).pursue(frames, sparsity=sparsity)
    expected = scikit_learn(bank.astype(float), frames.astype(float), sparsity=sparsity)
    np.testing.assert_allclose(spread(found, 60), expected, atol=1e-4)


def features(paths: list[Path]) -> npt.NDArray[np.float32]:
    frames = (prepare(read_image(path)) for path in paths)
    batches = extract_features(backbone.get(), ["block5"], frames, compute=Compute())
    return np.concatenate([batch["block5"] for batch in batches])


def test_only_candidates_are_chosen_and_each_frame_has_its_own() -> None:
    generator = np.random.default_rng(2)
    bank, frames = generator.normal(size=(10, 40)), generator.normal(size=(2, 40))
    candidates = np.zeros((2, 10), np.bool_)
    candidates[0, :3] = candidates[1, 7:] = True
    found = orthogonal_matching_pursuit(
        gram_of(bank),
        frames @ bank.T,
        np.square(frames).sum(axis=1),
        sparsity=5,
        candidates=candidates,
    )
    assert sorted(found.support[0].tolist()) == [-1, -1, 0, 1, 2]
    assert sorted(found.support[1].tolist()) == [-1, -1, 7, 8, 9]
    np.testing.assert_array_equal(found.chosen(10), candidates)


def test_a_frame_of_the_bank_is_itself_and_nothing_else() -> None:
    bank = np.random.default_rng(3).normal(1, 1, (8, 30))
    found = pursue(bank, bank[4:5], sparsity=3, tolerance=1e-6)
    assert found.support.tolist() == [[4, -1, -1]]
    np.testing.assert_allclose(found.coefficients, [[1, 0, 0]], atol=1e-9)


def test_copies_of_a_frame_are_not_combined_with_it() -> None:
    row = np.random.default_rng(4).normal(1, 1, 30)
    found = pursue(np.stack([row, row, 2 * row]), row[None] + np.eye(1, 30), sparsity=3)
    assert (found.support >= 0).sum() == 1
    assert np.abs(found.coefficients).max() < 2


def test_it_ends_as_soon_as_little_enough_is_left() -> None:
    generator = np.random.default_rng(5)
    bank, frames = generator.normal(size=(20, 40)), generator.normal(size=(3, 40))
    whole = pursue(bank, frames, sparsity=20)
    limit = float(np.sqrt(whole.squared_errors[0, 7])) * 1.000001
    found = pursue(bank, frames, sparsity=20, tolerance=limit)
    assert (found.support[0] >= 0).sum() == 7
    assert found.errors[0] <= limit


def test_a_dark_frame_and_a_dark_bank_are_no_trouble() -> None:
    bank = np.stack([np.zeros(6), np.arange(6.0)])
    found = pursue(bank, np.stack([np.zeros(6), np.ones(6)]), sparsity=2)
    assert found.support.tolist() == [[-1, -1], [1, -1]]
    assert found.errors[0] == 0


def test_nothing_to_choose_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 1 column must be chosen, got 0"):
        pursue(np.eye(3), np.eye(3), sparsity=0)
