"""Models on torch: the scores and maps that they have on OpenVINO."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt
import pytest

from streamline.errors import ConfigError
from streamline.infer import (
    Compute,
    extract_features,
    map_frames,
    open_scorer,
    precisions,
    score_frames,
    settle,
)
from streamline.learn import FitSettings, Precision, fit_frames
from streamline.model import Model, network_of
from streamline.preprocess import prepare
from streamline.source import image_paths, read_image
from tests.support.parts import parts
from tests.support.threads import new_threads

pytest.importorskip("torch")
import torch

Bytes = npt.NDArray[np.uint8]

OPENVINO = Compute(precision="f32")
TORCH = Compute(backend="torch", precision="f32")


def scores_of(
    model: Model, frames: Sequence[Bytes] | Bytes, compute: Compute
) -> npt.NDArray[np.float32]:
    return np.concatenate(list(score_frames(model, frames, compute=compute)))


@pytest.fixture(scope="module")
def exact() -> Model:
    """Fitted on a network that is not quantised."""
    settings = FitSettings(compute=OPENVINO, precision="bf16")
    return fit_frames(parts(24, seed=1), settings, source="drawn parts").model


@pytest.fixture(scope="module")
def other() -> Model:
    """Of the same network."""
    settings = FitSettings(compute=OPENVINO, precision="bf16", retain=0.7)
    return fit_frames(parts(16, seed=6), settings, source="drawn parts").model


def test_scores_maps_and_features_are_openvino_s(exact: Model, frames: Bytes) -> None:
    expected = scores_of(exact, frames, OPENVINO)
    np.testing.assert_allclose(scores_of(exact, frames, TORCH), expected, rtol=1e-4)
    maps = np.concatenate(list(map_frames(exact, frames, compute=TORCH)))
    drawn = np.concatenate(list(map_frames(exact, frames, compute=OPENVINO)))
    assert maps.dtype == np.float16
    np.testing.assert_allclose(maps, drawn, rtol=2e-3, atol=1e-4)
    net = network_of(exact)
    for batch, same in zip(
        extract_features(net, ["block3", "block5"], frames, compute=TORCH),
        extract_features(net, ["block3", "block5"], frames, compute=OPENVINO),
        strict=True,
    ):
        assert list(batch) == ["block3", "block5"]
        for layer, features in batch.items():
            np.testing.assert_allclose(features, same[layer], rtol=1e-3, atol=1e-3)


def test_eight_bits_are_rounded_as_openvino_rounds_them(model: Model, frames: Bytes) -> None:
    expected = scores_of(model, frames, OPENVINO)
    np.testing.assert_allclose(scores_of(model, frames, TORCH), expected, rtol=0.01)


def test_half_the_bits_move_scores_by_a_few_per_cent_at_most(exact: Model, frames: Bytes) -> None:
    few = frames[:1]  # Some processors have no such arithmetic, and imitate it slowly.
    low = scores_of(exact, few, replace(TORCH, precision="bf16", max_batch=1))
    full = scores_of(exact, few, TORCH)
    np.testing.assert_allclose(low, full, rtol=0.04)
    assert not np.array_equal(low, full)


def images(folder: Path) -> list[Path]:
    """Not the masks that lie beside those of magnetic tiles."""
    masks = {path.with_suffix(".png") for path in folder.glob("*.jpg")}
    return [path for path in image_paths(folder) if path not in masks][:40]


@pytest.mark.parametrize(
    ("sound", "broken"),
    [
        pytest.param("mvtec/bottle/train/good", "mvtec/bottle/test/broken_large", id="bottle"),
        pytest.param("mtd/MT_Free/Imgs", "mtd/MT_Blowhole/Imgs", id="tiles"),
    ],
)
@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 1e-4), ("int8", 0.01)])
def test_on_real_products_no_verdict_differs(
    shared_dir: Path, sound: str, broken: str, precision: Precision, tolerance: float
) -> None:
    normal, faulty = (
        [prepare(read_image(path)) for path in images(shared_dir / "data" / place)]
        for place in (sound, broken)
    )
    settings = FitSettings(compute=OPENVINO, precision=precision)
    model = fit_frames(normal[:24], settings, source="real").model
    unseen = np.stack([*normal[24:40], *faulty[:12]])
    expected, found = scores_of(model, unseen, OPENVINO), scores_of(model, unseen, TORCH)
    np.testing.assert_allclose(found, expected, rtol=tolerance)
    assert np.array_equal(found > model.threshold, expected > model.threshold)


def test_models_of_one_network_share_a_batch(exact: Model, other: Model, frames: Bytes) -> None:
    finished: SimpleQueue[int] = SimpleQueue()
    scorer = open_scorer([exact, other], replace(TORCH, max_batch=4), on_done=finished.put)
    scorer.input(0)[:4] = frames[:4]
    scorer.start(0, 1, 3)
    assert finished.get(timeout=60) == 0
    np.testing.assert_allclose(scorer.result(0), scores_of(exact, frames[:1], TORCH), rtol=1e-5)
    np.testing.assert_allclose(
        scorer.result(0, head=1), scores_of(other, frames[1:4], TORCH), rtol=1e-5
    )
    scorer.input(1)[:2] = frames[4:6]
    scorer.start(1, 0, 2)
    assert finished.get(timeout=60) == 1
    np.testing.assert_allclose(
        scorer.result(1, head=1), scores_of(other, frames[4:6], TORCH), rtol=1e-5
    )
    scorer.close()


@pytest.mark.parametrize("size", [1, 3])
def test_a_score_does_not_depend_on_the_batch(exact: Model, frames: Bytes, size: int) -> None:
    alone = scores_of(exact, frames, replace(TORCH, max_batch=size))
    np.testing.assert_allclose(alone, scores_of(exact, frames, TORCH), rtol=1e-5)


def test_streams_are_as_many_as_asked_for_and_end_when_closed(exact: Model, frames: Bytes) -> None:
    before = threading.enumerate()
    finished: SimpleQueue[int] = SimpleQueue()
    scorer = open_scorer([exact], replace(TORCH, streams=2, max_batch=2), on_done=finished.put)
    assert scorer.slots == 3
    assert len(new_threads(before)) == 2
    for slot in range(3):
        scorer.input(slot)[:1] = frames[slot]
        scorer.start(slot, 1)
    assert sorted(finished.get(timeout=60) for _ in range(3)) == [0, 1, 2]
    found = np.concatenate([scorer.result(slot) for slot in range(3)])
    np.testing.assert_allclose(found, scores_of(exact, frames[:3], TORCH), rtol=1e-5)
    scorer.close()
    assert new_threads(before) == []


def test_what_is_left_to_be_chosen_is_chosen() -> None:
    found = settle(Compute(backend="torch", device="AUTO"))
    cuda = torch.cuda.is_available()
    assert found.device == ("cuda:0" if cuda else "CPU")
    assert settle(Compute(backend="torch")).precision == "f32"
    assert settle(found) == found
    has_bf16 = "bf16" in Path("/proc/cpuinfo").read_text()
    assert precisions(Compute(backend="torch")) == (("f32", "bf16") if has_bf16 else ("f32",))


@pytest.mark.parametrize("device", ["cuda:77", "GPU", "cuda:x"])
def test_a_device_that_is_not_there_is_one_sentence(device: str) -> None:
    with pytest.raises(ConfigError, match=r"torch (finds|knows) no device"):
        settle(Compute(backend="torch", device=device))


def test_arithmetic_that_the_processor_has_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="no f16 arithmetic with torch"):
        settle(Compute(backend="torch", precision="f16"))
