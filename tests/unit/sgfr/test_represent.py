"""Representations of unseen frames against plain distances and least squares."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamline import backbone
from streamline.infer import Compute, extract_features
from streamline.preprocess import prepare
from streamline.sgfr import (
    coreset_columns,
    gram_of,
    nearest_columns,
    nearest_errors,
    orthogonal_matching_pursuit,
    random_columns,
    subspace_errors,
)
from streamline.source import image_paths, read_image

Doubles = npt.NDArray[np.float64]

GENERATOR = np.random.default_rng(1)
BANK = GENERATOR.normal(1, 1, (30, 50))
FRAMES = GENERATOR.normal(1, 1, (6, 50))
GRAM, PRODUCTS = gram_of(BANK), FRAMES @ BANK.T
ENERGIES = np.square(FRAMES).sum(axis=1)


def test_neighbours_are_those_at_the_smallest_distance() -> None:
    distances = np.linalg.norm(FRAMES[:, None] - BANK, axis=2)
    nearest = nearest_columns(GRAM, PRODUCTS, 4)
    np.testing.assert_array_equal(nearest, np.argsort(distances, axis=1)[:, :4])
    np.testing.assert_allclose(
        nearest_errors(GRAM, PRODUCTS, ENERGIES, nearest), distances.min(axis=1)
    )
    some = np.array([3, 17, 20])
    np.testing.assert_allclose(
        nearest_errors(GRAM, PRODUCTS, ENERGIES, some), distances[:, some].min(axis=1)
    )


def test_a_span_s_error_is_that_of_least_squares() -> None:
    chosen = nearest_columns(GRAM, PRODUCTS, 5)
    errors = subspace_errors(GRAM, PRODUCTS, ENERGIES, chosen)
    for frame, columns, error in zip(FRAMES, chosen, errors, strict=True):
        best, *_ = np.linalg.lstsq(BANK[columns].T, frame, rcond=None)
        assert error == pytest.approx(np.linalg.norm(frame - best @ BANK[columns]))


def test_copies_among_the_chosen_change_nothing() -> None:
    copied = np.concatenate([BANK, BANK[:1]])
    products = FRAMES @ copied.T
    errors = subspace_errors(gram_of(copied), products, ENERGIES, np.array([0, 4, 30]))
    np.testing.assert_allclose(
        errors, subspace_errors(GRAM, PRODUCTS, ENERGIES, np.array([0, 4])), rtol=1e-6
    )


def test_a_coreset_takes_the_farthest_each_time_by_a_loop() -> None:
    chosen = coreset_columns(GRAM, 8).tolist()
    centre = np.linalg.norm(BANK - BANK.mean(axis=0), axis=1)
    assert chosen[0] == centre.argmin()
    for step in range(1, 8):
        apart = [min(np.linalg.norm(row - BANK[j]) for j in chosen[:step]) for row in BANK]
        assert chosen[step] == np.argmax(apart)


def test_random_columns_are_distinct_and_drawn_by_the_generator() -> None:
    drawn = random_columns(30, 12, generator=np.random.default_rng(7))
    assert len(set(drawn.tolist())) == 12
    again = random_columns(30, 12, generator=np.random.default_rng(7))
    np.testing.assert_array_equal(drawn, again)


def test_pursuit_represents_unseen_bottles_better_than_all_other_choices(shared_dir: Path) -> None:
    # The paper's figure 6, on normal frames that are not in the bank.
    paths = image_paths(shared_dir / "data" / "mvtec" / "bottle" / "train" / "good")
    frames = (prepare(read_image(path)) for path in paths[:100])
    batches = extract_features(backbone.get(), ["block5"], frames, compute=Compute())
    features = np.concatenate([batch["block5"] for batch in batches]).astype(np.float64)
    bank, unseen = features[:80], features[80:]
    gram, products = gram_of(bank), unseen @ bank.T
    energies = np.square(unseen).sum(axis=1)
    pursued = orthogonal_matching_pursuit(gram, products, energies, sparsity=10).errors.mean()
    others = {
        "random": random_columns(80, 10, generator=np.random.default_rng(0)),
        "coreset": coreset_columns(gram, 10),
        "nearest": nearest_columns(gram, products, 10),
    }
    for columns in others.values():
        assert pursued < subspace_errors(gram, products, energies, columns).mean()
        assert pursued < 0.9 * nearest_errors(gram, products, energies, columns).mean()
