"""Many ranks at the price of one, and means over what was measured."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamline.cli.eval import AblationName
from streamline.evaluate import Category, PlannedRun
from streamline.evaluate.ablation import ABLATIONS
from streamline.evaluate.ablation.bank import representation_errors
from streamline.evaluate.ablation.features import LayerFeatures
from streamline.evaluate.ablation.result import Row, average
from streamline.evaluate.ablation.sweep import sweep_retained
from streamline.fre import (
    fit_subspace,
    mean_square_map,
    reconstruction_error,
    reconstruction_residual,
)

SHAPE = (6, 5, 4)
Floats = npt.NDArray[np.floating]


@pytest.fixture
def features() -> LayerFeatures:
    """Frames of a few causes and some noise, far from the origin."""
    generator = np.random.default_rng(3)
    causes = generator.normal(size=(12, 120)) * np.geomspace(5, 0.1, 12)[:, None]
    frames = generator.normal(size=(45, 12)) @ causes + 30 + generator.normal(0, 0.05, (45, 120))
    matrix = frames.astype(np.float32)
    matrix.flags.writeable = False
    return LayerFeatures(shape=SHAPE, train=matrix[:30], test=matrix[30:])


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_one_sweep_answers_as_a_fit_of_its_own_would(
    features: LayerFeatures, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamline.evaluate.ablation.sweep._CHUNK_BYTES", chunk_bytes)
    shares = (0.99, 0.5, 0.9, 0.901)
    answers = sweep_retained(features, shares)
    assert list(answers) == list(shares)
    for share in shares:
        own = fit_subspace(features.train, retain=share)
        residual = reconstruction_residual(features.test, own)
        assert answers[share].rank == own.rank
        expected = reconstruction_error(features.test, own)
        assert answers[share].errors == pytest.approx(expected, rel=1e-4)
        assert answers[share].maps == pytest.approx(
            mean_square_map(residual, shape=SHAPE), rel=1e-3, abs=1e-5
        )


def test_the_command_offers_every_ablation_there_is() -> None:
    assert {name.value for name in AblationName} == set(ABLATIONS)


def test_a_figure_is_averaged_over_the_runs_that_have_it() -> None:
    runs = [
        PlannedRun(Category(name=name, train=(Path(),), test=(), masked=False), None)
        for name in ("lid", "gear", "nut")
    ]
    rows = [
        Row(run=run, variant={"layers": layers}, figures={"pro": pro})
        for run, pros in zip(runs, [(0.5, 0.1), (0.7, 0.2), (None, 0.3)], strict=True)
        for layers, pro in zip(("deep", "shallow"), pros, strict=True)
    ]
    assert average(rows, {"layers": "deep"}, "pro") == pytest.approx(0.6)
    assert average(rows, {"layers": "shallow"}, "pro") == pytest.approx(0.2)
    assert average(rows[4:5], {"layers": "deep"}, "pro") is None


def combined(bank: Floats, frame: Floats, chosen: Sequence[int]) -> float:
    """Share of a frame that least squares on the frames chosen leaves."""
    made, *_ = np.linalg.lstsq(bank[list(chosen)].T, frame, rcond=None)
    return float(np.linalg.norm(frame - bank[list(chosen)].T @ made) / np.linalg.norm(frame))


def test_frames_of_the_bank_represent_others_as_least_squares_would() -> None:
    generator = np.random.default_rng(5)
    bank = generator.normal(size=(30, 200)).astype(np.float32)
    frames = generator.normal(size=(4, 200)).astype(np.float32)
    errors = dict(representation_errors(bank, frames))
    distances = np.linalg.norm(frames[:, None] - bank, axis=2)
    nearest = np.argsort(distances, axis=1)
    for p in (10, 20, 30):
        own = [combined(bank, one, order[:p]) for one, order in zip(frames, nearest, strict=True)]
        assert errors["nearest, combined"][p] == pytest.approx(np.mean(own), rel=1e-4)
        lengths = np.linalg.norm(frames, axis=1)
        assert errors["nearest, matched"][p] == pytest.approx(
            np.mean(distances.min(axis=1) / lengths), rel=1e-4
        )
    # all frames of the bank together leave the same, whoever chose them
    whole = {round(one[30], 5) for name, one in errors.items() if "combined" in name}
    assert len(whole) == 1
    assert all(set(one) == {10, 20, 30} for one in errors.values())


def test_pursuit_represents_what_the_bank_can_make_with_few_of_its_frames() -> None:
    """Each is a mixture of three of the bank: ten chosen well leave next to nothing of it."""
    generator = np.random.default_rng(6)
    bank = generator.normal(size=(60, 400)).astype(np.float32)
    frames = np.stack([bank[3 * i] + 2 * bank[3 * i + 1] - bank[3 * i + 2] for i in range(5)])
    errors = dict(representation_errors(bank, frames))
    assert errors["pursuit, combined"][10] < 1e-3
    others = [one[10] for name, one in errors.items() if name != "pursuit, combined"]
    assert min(others) > 0.1
