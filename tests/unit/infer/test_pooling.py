"""Features averaged over squares, against NumPy's means and the formulas."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt
import pytest

from streamline import backbone
from streamline.fre import fuse_errors, reconstruction_error
from streamline.infer import Compute, extract_features, open_scorer, score_frames
from streamline.learn import FitSettings, SgfrSettings, fit_frames
from streamline.model import Model, load_model, save_model
from tests.support.parts import parts

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

COMPUTE = Compute(precision="f32", max_batch=4, slots=1)

SETTINGS = FitSettings(score_layers=("block4/2", "block5"), map_layers=("block2/4",))


@pytest.fixture(scope="module")
def pooled() -> Model:
    return fit_frames(parts(16, seed=1), SETTINGS, source="drawn parts").model


def features_of(frames: Bytes, layers: Sequence[str], precision: str) -> dict[str, Floats]:
    net = backbone.get("efficientnet_lite0", precision)
    batches = list(extract_features(net, layers, frames, compute=COMPUTE))
    return {layer: np.concatenate([batch[layer] for batch in batches]) for layer in layers}


def means(features: Floats, shape: tuple[int, int, int], side: int) -> Floats:
    channels, height, width = shape
    squares = features.reshape(-1, channels, height // side, side, width // side, side)
    found: Floats = squares.mean(axis=(3, 5)).reshape(len(features), -1)
    return found


def test_pooled_features_are_the_means_of_the_squares(frames: Bytes) -> None:
    whole = features_of(frames, ["block2", "block4"], "fp16")
    pooled = features_of(frames, ["block4/2", "block2/8"], "fp16")
    np.testing.assert_allclose(
        pooled["block4/2"], means(whole["block4"], (112, 16, 16), 2), atol=1e-4
    )
    np.testing.assert_allclose(
        pooled["block2/8"], means(whole["block2"], (40, 32, 32), 8), atol=1e-4
    )


def test_the_score_is_that_of_the_pooled_features(pooled: Model, frames: Bytes) -> None:
    layers = pooled.fre.score_layers
    features = features_of(frames, list(layers), "int8")
    expected = fuse_errors(
        [reconstruction_error(features[name], one.subspace) for name, one in layers.items()]
    )
    scores = np.concatenate(list(score_frames(pooled, frames, compute=COMPUTE)))
    np.testing.assert_allclose(scores, expected, rtol=1e-3)
    assert layers["block4/2"].shape == (112, 8, 8)
    assert pooled.map_shape == (8, 8)


def test_a_model_on_pooled_layers_comes_back_from_disk(pooled: Model, tmp_path: Path) -> None:
    save_model(pooled, tmp_path / "model")
    found = load_model(tmp_path / "model").fre
    assert list(found.score_layers) == ["block4/2", "block5"]
    for name, layer in pooled.fre.score_layers.items():
        np.testing.assert_array_equal(found.score_layers[name].subspace.mean, layer.subspace.mean)


def test_models_on_the_same_pooled_layers_share_a_network(pooled: Model, frames: Bytes) -> None:
    few = replace(SETTINGS, max_rank=3)
    other = fit_frames(parts(12, seed=4), few, source="a few directions").model
    done: SimpleQueue[int] = SimpleQueue()
    scorer = open_scorer([pooled, other], COMPUTE, on_done=done.put)
    scorer.input(0)[:3] = frames[:3]
    scorer.start(0, 1, 2)
    done.get(timeout=30)
    found = np.concatenate([scorer.result(0, head=head) for head in (0, 1)])
    scorer.close()
    shares = [(pooled, frames[:1]), (other, frames[1:3])]
    alone = [score for one, mine in shares for score in score_frames(one, mine, compute=COMPUTE)]
    np.testing.assert_allclose(found, np.concatenate(alone), rtol=3e-6)


def test_a_memory_bank_may_be_of_pooled_features(tmp_path: Path) -> None:
    settings = SgfrSettings(
        map_layers=("block2/2",), sampling_layer="block4/2", samples=5, sparsity=3
    )
    fitted = fit_frames(parts(12, seed=4), settings, source="parts").model
    save_model(fitted, tmp_path / "bank")
    assert load_model(tmp_path / "bank").map_shape == (16, 16)
