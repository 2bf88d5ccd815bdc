"""A model reduced without frames, against a model fitted with the smaller share."""

import numpy as np
import numpy.typing as npt
import pytest

from streamline.errors import InputError
from streamline.infer import Compute, score_frames
from streamline.learn import FitSettings, fit_frames
from streamline.model import Model, rerank_model
from tests.support.parts import parts

COMPUTE = Compute(precision="f32")


@pytest.fixture(scope="module")
def drawn() -> list[npt.NDArray[np.uint8]]:
    return parts(24, seed=21)


@pytest.fixture(scope="module")
def wide(drawn: list[npt.NDArray[np.uint8]]) -> Model:
    return fit_frames(drawn, FitSettings(retain=0.97, compute=COMPUTE), source="parts").model


@pytest.mark.parametrize("retain", [0.97, 0.9, 0.6])
def test_reducing_a_model_is_fitting_it_with_the_smaller_share(
    wide: Model, drawn: list[npt.NDArray[np.uint8]], retain: float
) -> None:
    reduced = rerank_model(wide, retain=retain)
    fitted = fit_frames(drawn, FitSettings(retain=retain, compute=COMPUTE), source="parts").model
    assert reduced.fre.retain == fitted.fre.retain
    assert reduced.fre.shares == fitted.fre.shares
    assert reduced.threshold == pytest.approx(fitted.threshold, rel=1e-5)
    np.testing.assert_allclose(reduced.calibration.scores, fitted.calibration.scores, rtol=1e-5)
    np.testing.assert_allclose(reduced.fre.heldout, fitted.fre.heldout, rtol=1e-5)
    fresh = parts(3, seed=22)
    np.testing.assert_allclose(
        np.concatenate(list(score_frames(reduced, fresh, compute=COMPUTE))),
        np.concatenate(list(score_frames(fitted, fresh, compute=COMPUTE))),
        rtol=1e-4,
    )


def test_a_model_can_be_reduced_again(wide: Model) -> None:
    twice = rerank_model(rerank_model(wide, retain=0.95), retain=0.8)
    once = rerank_model(wide, retain=0.8)
    assert twice.threshold == once.threshold
    for name, layer in twice.fre.score_layers.items():
        assert layer.subspace.rank == once.fre.score_layers[name].subspace.rank


@pytest.mark.parametrize("retain", [0.98, 0.4, 0.9025])
def test_a_share_whose_threshold_is_not_known_is_refused(wide: Model, retain: float) -> None:
    with pytest.raises(InputError, match=r"fitted with 0.97 .* multiples of 0.005 down to 0.5"):
        rerank_model(wide, retain=retain)


def test_the_model_that_is_reduced_stays_as_it_is(wide: Model) -> None:
    before = {name: layer.subspace.rank for name, layer in wide.fre.score_layers.items()}
    threshold = wide.threshold
    rerank_model(wide, retain=0.5)
    assert threshold == wide.threshold
    assert before == {name: one.subspace.rank for name, one in wide.fre.score_layers.items()}
