"""Many ranks at the price of one, and means over what was measured."""

from pathlib import Path

import numpy as np
import pytest

from streamline.evaluate import Category, PlannedRun
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
