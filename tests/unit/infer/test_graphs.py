"""What the compiled graphs compute, against the formulas in NumPy."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import openvino as ov
import pytest

from streamline import backbone
from streamline.fre import (
    fuse_errors,
    fuse_maps,
    mean_square_map,
    reconstruction_error,
    reconstruction_residual,
)
from streamline.infer import Compute, extract_features, map_frames, precisions, score_frames
from streamline.learn import FitSettings, fit_frames
from streamline.model import Model
from streamline.preprocess import prepare
from streamline.source import image_paths, read_image

Bytes = npt.NDArray[np.uint8]

F32 = Compute(precision="f32")
"""The formulas are checked where rounding is smallest; bf16 has its own tolerance."""


def scores_of(
    model: Model, frames: Iterable[Bytes], compute: Compute = F32
) -> npt.NDArray[np.float32]:
    return np.concatenate(list(score_frames(model, frames, compute=compute)))


def maps_of(
    model: Model, frames: Iterable[Bytes], compute: Compute = F32
) -> npt.NDArray[np.float16]:
    return np.concatenate(list(map_frames(model, frames, compute=compute)))


def features_of(names: Iterable[str], frames: Bytes) -> dict[str, npt.NDArray[np.float32]]:
    layers = list(names)
    batches = list(extract_features(backbone.get(), layers, frames, compute=F32))
    return {layer: np.concatenate([batch[layer] for batch in batches]) for layer in layers}


def expected_scores(model: Model, frames: Bytes) -> npt.NDArray[np.float64]:
    features = features_of(model.fre.score_layers, frames)
    return fuse_errors(
        [
            reconstruction_error(features[name], layer.subspace)
            for name, layer in model.fre.score_layers.items()
        ]
    )


def expected_maps(model: Model, frames: Bytes) -> npt.NDArray[np.float64]:
    features = features_of(model.fre.map_layers, frames)
    return fuse_maps(
        [
            mean_square_map(
                reconstruction_residual(features[name], layer.subspace), shape=layer.shape
            )
            for name, layer in model.fre.map_layers.items()
        ]
    )


def test_scores_are_the_formula_s_within_a_thousandth(model: Model, frames: Bytes) -> None:
    np.testing.assert_allclose(scores_of(model, frames), expected_scores(model, frames), rtol=1e-3)


def test_maps_are_the_formula_s_within_float16(model: Model, frames: Bytes) -> None:
    maps = maps_of(model, frames)
    assert maps.dtype == np.float16
    assert maps.shape == (10, *model.map_shape) == (10, 32, 32)
    np.testing.assert_allclose(maps, expected_maps(model, frames), rtol=2e-3, atol=1e-4)


def test_on_real_bottles_graph_and_formula_agree_as_well(shared_dir: Path) -> None:
    bottle = shared_dir / "data" / "mvtec" / "bottle"
    sound = pictures(bottle / "train" / "good")[:40]
    broken = np.stack(pictures(bottle / "test" / "broken_large")[:8])
    model = fit_frames(sound, FitSettings(compute=F32), source="bottles").model
    np.testing.assert_allclose(scores_of(model, broken), expected_scores(model, broken), rtol=1e-3)
    np.testing.assert_allclose(
        maps_of(model, broken), expected_maps(model, broken), rtol=2e-3, atol=1e-4
    )


def pictures(folder: Path) -> list[Bytes]:
    return [prepare(read_image(path)) for path in image_paths(folder)]


def test_features_are_flattened_channels_first(frames: Bytes) -> None:
    layer = backbone.get().layers["block5"]
    found = features_of(["block5"], frames)["block5"]
    assert found.dtype == np.float32
    assert found.shape == (10, layer.channels * layer.height * layer.width)
    net = ov.Core().compile_model(backbone.get().xml, "CPU")
    whole = np.array(net(frames)["block5"])
    assert whole.shape == (10, layer.channels, layer.height, layer.width)
    # Not equal: an int8 graph with other outputs is fused and rounded otherwise.
    assert np.corrcoef(found.ravel(), whole.ravel())[0, 1] > 0.99
    assert np.corrcoef(found.ravel(), np.moveaxis(whole, 1, -1).ravel())[0, 1] < 0.5


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_score_does_not_depend_on_the_batch_a_frame_came_in(
    model: Model, frames: Bytes, size: int
) -> None:
    others = Compute(precision="f32", max_batch=size)
    np.testing.assert_allclose(
        scores_of(model, frames, others), scores_of(model, frames), rtol=1e-5
    )
    np.testing.assert_allclose(
        maps_of(model, frames, others), maps_of(model, frames), rtol=2e-3, atol=1e-4
    )


@pytest.mark.parametrize("size", [1, 3, 4])
def test_a_cpu_s_score_has_the_same_bits_in_every_batch(
    model: Model, frames: Bytes, size: int
) -> None:
    for precision in precisions(Compute()):
        found = scores_of(model, frames, Compute(precision=precision, max_batch=size))
        whole = scores_of(model, frames, Compute(precision=precision, max_batch=8))
        np.testing.assert_array_equal(found, whole)


def test_latency_and_throughput_settings_give_the_same_scores(model: Model, frames: Bytes) -> None:
    quick = Compute(precision="f32", hint="latency", slots=1, streams=1, threads=1)
    np.testing.assert_allclose(scores_of(model, frames, quick), scores_of(model, frames), rtol=1e-5)


@pytest.mark.skipif("bf16" not in precisions(Compute()), reason="this processor has no bf16")
def test_bf16_moves_no_score_by_more_than_a_percent(model: Model, frames: Bytes) -> None:
    found = scores_of(model, frames, Compute(precision="bf16"))
    np.testing.assert_allclose(found, scores_of(model, frames), rtol=1e-2)
    assert (found != scores_of(model, frames)).any()


def test_what_is_left_to_be_chosen_moves_no_score_at_all(model: Model, frames: Bytes) -> None:
    np.testing.assert_array_equal(scores_of(model, frames, Compute()), scores_of(model, frames))


def test_scratched_parts_score_higher_than_sound_ones(model: Model, frames: Bytes) -> None:
    scores = scores_of(model, frames)
    assert scores[1::2].min() > scores[::2].max()


def test_the_map_is_hot_where_the_scratch_is(model: Model, frames: Bytes) -> None:
    sound = frames[0]
    marked = sound.copy()
    cv2.circle(marked, (90, 150), 6, (250, 250, 250), -1)
    heat = maps_of(model, [marked])[0].astype(float) - maps_of(model, [sound])[0]
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert (int(row), int(column)) == pytest.approx((150 / 8, 90 / 8), abs=1.6)


def test_no_frame_gives_no_score(model: Model) -> None:
    assert list(score_frames(model, [], compute=F32)) == []


def test_frames_are_not_written_to(model: Model, frames: Bytes) -> None:
    assert not frames.flags.writeable
    assert len(scores_of(model, frames)) == len(frames)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(np.zeros((255, 256, 3), np.uint8), id="size"),
        pytest.param(np.zeros((256, 256, 3), np.float32), id="type"),
        pytest.param(np.zeros((256, 256), np.uint8), id="grey"),
    ],
)
def test_a_frame_of_another_shape_is_refused(model: Model, frame: Bytes) -> None:
    with pytest.raises(ValueError, match=r"expected a frame of uint8 \(256, 256, 3\)"):
        scores_of(model, [frame])
