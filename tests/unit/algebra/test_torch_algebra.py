"""A fit's products and eigenvalues by torch, against NumPy's."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from streamline.fre import (
    HOST,
    Algebra,
    LinearAutoencoder,
    SpanBuilder,
    Subspace,
    fit_subspace,
    span_of,
    subspace_of,
)
from streamline.infer import Compute
from streamline.learn import FitSettings, Fitted, fit_frames
from streamline.model import FreDetector
from tests.support.parts import parts

pytest.importorskip("torch")
import torch

from streamline.algebra import TorchAlgebra

Floats = npt.NDArray[np.floating]

DEVICES = [
    "cpu",
    pytest.param(
        "cuda:0",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(
                not torch.cuda.is_available(), reason="torch has no CUDA device here"
            ),
        ],
    ),
]


@pytest.fixture(params=DEVICES)
def algebra(request: pytest.FixtureRequest) -> Algebra:
    return TorchAlgebra(request.param)


def features(n: int, d: int, *, seed: int = 1) -> npt.NDArray[np.float32]:
    """Few directions of falling strength, some noise, and a mean much larger than either."""
    draw = np.random.default_rng(seed)
    scale = 0.7 ** np.arange(12)
    signal = (draw.normal(size=(n, 12)) * scale) @ draw.normal(size=(12, d))
    noisy = 30 + signal + 0.05 * draw.normal(size=(n, d))
    found = noisy.astype(np.float32)
    found.flags.writeable = False
    return found


def test_products_means_and_sums_are_numpy_s(algebra: Algebra) -> None:
    frames = features(20, 3000)
    found, expected = algebra.gram(frames), HOST.gram(frames)
    np.testing.assert_allclose(found.products, expected.products, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-6)
    assert found.energy == pytest.approx(expected.energy, rel=1e-12)
    plain = frames.astype(np.float64) @ frames.astype(np.float64).T
    np.testing.assert_allclose(algebra.products(frames), plain, rtol=1e-9)


def test_columns_taken_in_parts_give_the_same_as_all_at_once(
    algebra: Algebra, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, weights = features(20, 900), np.random.default_rng(2).normal(size=(4, 20))
    whole, lifted = algebra.gram(frames), np.empty((4, 900), np.float32)
    algebra.combine(weights, frames, centred=True, out=lifted)
    monkeypatch.setattr("streamline.fre.algebra._CHUNK_BYTES", 8 * 20 * 7)
    np.testing.assert_allclose(algebra.gram(frames).products, whole.products, rtol=1e-9, atol=1e-6)
    again = np.empty_like(lifted)
    algebra.combine(weights, frames, centred=True, out=again)
    np.testing.assert_allclose(again, lifted, rtol=1e-5, atol=1e-5)
    wide = frames - frames.mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(lifted, weights @ wide, rtol=1e-4, atol=1e-4)


def test_eigenvalues_are_numpy_s(algebra: Algebra) -> None:
    gram = HOST.gram(features(24, 500)).products
    values, vectors = algebra.eigh(gram)
    np.testing.assert_allclose(values, HOST.eigh(gram)[0], rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(vectors @ np.diag(values) @ vectors.T, gram, rtol=1e-7, atol=1e-5)


def test_rows_may_be_replaced_by_what_is_made_of_them(algebra: Algebra) -> None:
    rows = features(6, 100).copy()
    weights = np.random.default_rng(3).normal(size=(2, 6)).astype(np.float32)
    expected = weights @ rows
    algebra.combine(weights, rows, centred=False, out=rows[:2])
    np.testing.assert_allclose(rows[:2], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [200, 40], ids=["held", "merged"])
def test_a_subspace_is_numpy_s(algebra: Algebra, rows: int) -> None:
    frames = features(100, 400)
    found: list[Subspace] = []
    for kind in (algebra, HOST):
        builder = SpanBuilder(rows=rows, rank=20, algebra=kind)
        builder.add(frames)
        found.append(subspace_of(builder.finish(), retain=0.95))
    one, other = found
    assert one.rank == other.rank
    cosines = np.linalg.svd(one.directions @ other.directions.T, compute_uv=False)
    assert cosines.min() > 1 - 1e-5
    np.testing.assert_allclose(one.singular_values[:8], other.singular_values[:8], rtol=1e-5)
    if rows > len(frames):
        whole = fit_subspace(frames, retain=0.95)
        np.testing.assert_allclose(one.singular_values[:8], whole.singular_values[:8], rtol=1e-9)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (np.zeros((1, 5), np.float32), "at least 2 frames"),
        (np.full((3, 5), np.nan, np.float32), "no finite numbers"),
        (np.ones((3, 5), np.float32), "do not differ"),
    ],
)
def test_what_numpy_refuses_is_refused(
    algebra: Algebra, bad: npt.NDArray[np.float32], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        span_of(bad, algebra=algebra)


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory.\nmore"),
            "memory of device 'cpu' is too small",
        ),
        (
            torch.AcceleratorError("CUDA error: unspecified launch failure\nmore"),
            "'cpu' failed: CUDA",
        ),
    ],
)
def test_a_device_that_fails_is_one_sentence(
    failure: Exception, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> Callable[..., object]:
        raise failure

    monkeypatch.setattr(torch.linalg, "eigh", fails)
    with pytest.raises(ValueError, match=says) as caught:
        span_of(features(8, 30), algebra=TorchAlgebra("cpu"))
    assert len(str(caught.value).splitlines()) == 1


def fitted(compute: Compute, method: str = "fre-pca") -> Fitted:
    settings = FitSettings(compute=compute, precision="bf16", method=method, max_rank=8)  # type: ignore[arg-type]
    return fit_frames(parts(16, seed=1), settings, source="drawn parts")


@pytest.mark.parametrize("device", DEVICES)
def test_a_fit_on_torch_is_the_fit_on_openvino(device: str) -> None:
    compute = Compute(backend="torch", device=device, precision="f32")
    found, expected = fitted(compute).model, fitted(Compute(precision="f32")).model
    assert found.threshold == pytest.approx(expected.threshold, rel=1e-3)
    np.testing.assert_allclose(found.calibration.scores, expected.calibration.scores, rtol=1e-3)
    assert isinstance(found.detector, FreDetector)
    assert isinstance(expected.detector, FreDetector)
    for name, layer in found.detector.score_layers.items():
        one, other = layer.subspace, expected.detector.score_layers[name].subspace
        assert one.rank == other.rank
        angles = np.linalg.svd(
            one.encoder.astype(np.float64) @ other.encoder.astype(np.float64).T, compute_uv=False
        )
        assert angles.min() > 0.999
    assert found.calibration.device == ("CPU" if device == "cpu" else device)


@pytest.mark.parametrize("device", DEVICES)
def test_an_autoencoder_is_trained_where_its_features_are_computed(device: str) -> None:
    compute = Compute(backend="torch", device=device, precision="f32")
    found = fitted(compute, "fre-aet")
    curves = found.report.training.values()
    assert curves
    assert all(curve[-1].excess <= 0.01 for curve in curves)
    assert isinstance(found.model.detector, FreDetector)
    layers = found.model.detector.score_layers.values()
    assert all(isinstance(layer.subspace, LinearAutoencoder) for layer in layers)
