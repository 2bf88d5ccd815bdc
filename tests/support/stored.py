"""Small networks as they are stored, of any graph, and models on one."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from streamline.backbone import Backbone, read_folder
from streamline.fre import LinearAutoencoder, Subspace
from streamline.mask import Mask
from streamline.model import (
    BackboneId,
    BankLayer,
    FittedLayer,
    FreDetector,
    Model,
    SgfrDetector,
    save_model,
)
from streamline.preprocess import PREPROCESSING
from streamline.sgfr import Recipe, store_bank
from tests.support.models import CREATED, some_calibration

__all__ = [
    "SIDE",
    "frames",
    "save_each_kind",
    "shuffling_network",
    "small_network",
    "store_graph",
    "store_network",
    "with_layers",
]

SIDE = 128
"""Of a frame, px."""

Shape = tuple[int, int, int]


def frames() -> ov.op.Parameter:
    """What goes in: uint8, ``(n, 128, 128, 3)``."""
    return ops.parameter([-1, SIDE, SIDE, 3], np.uint8, "pixels")


def small_network() -> ov.Model:
    """A convolution of stride 32 to four channels: layer ``deep``, ``(n, 4, 4, 4)``."""
    pixels = frames()
    picture = ops.transpose(ops.convert(pixels, "f32"), np.array([0, 3, 1, 2]))
    weights = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32)
    deep = ops.relu(ops.convolution(picture, weights, [32, 32], [0, 0], [0, 0], [1, 1]))
    return with_layers(pixels, deep=deep)


def shuffling_network() -> ov.Model:
    """What larger networks do with shapes, to the same layer: ``(n, 4, 4, 4)``."""
    pixels = frames()
    picture = ops.transpose(ops.convert(pixels, "f32"), np.array([0, 3, 1, 2]))
    coarse = _pooled(picture, 8)
    weights = np.random.default_rng(0).normal(size=(8, 3, 1, 1)).astype(np.float32)
    eight = ops.convolution(coarse, weights, [1, 1], [0, 0], [0, 0], [1, 1])
    left, right = ops.split(_shuffled(eight), np.array(1), 2).outputs()
    largest = ops.max_pool(left, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
    both = ops.concat([largest, _pooled(right, 2)], 1)
    first, _ = ops.variadic_split(both, np.array(1), np.array([4, -1])).outputs()
    padded = ops.pad(first, np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), "edge")
    inner = ops.strided_slice(
        padded, [0, 0, 1, 1], [0, 0, 9, 9], [1, 1, 2, 2], [1, 1, 0, 0], [1, 1, 0, 0]
    )
    return with_layers(pixels, deep=ops.relu(inner))


def _pooled(picture: ov.Node, side: int) -> ov.Node:
    return ops.avg_pool(picture, [side, side], [0, 0], [0, 0], [side, side], exclude_pad=True)


def _shuffled(picture: ov.Node) -> ov.Node:
    """Take channels from both halves in turn, by shapes that are computed, as torch writes it."""
    shape = ops.shape_of(picture)
    batch, channels = (ops.gather(shape, np.array([axis]), np.array(0)) for axis in (0, 1))
    half = ops.divide(channels, ops.constant(np.array([2])))
    sides = ops.gather(shape, np.array([2, 3]), np.array(0))
    apart = ops.reshape(picture, ops.concat([batch, [2], half, sides], 0), special_zero=False)
    return ops.reshape(ops.transpose(apart, [0, 2, 1, 3, 4]), shape, special_zero=False)


def with_layers(pixels: ov.op.Parameter, **layers: ov.Node) -> ov.Model:
    """A graph that gives these."""
    results = []
    for name, node in layers.items():
        result = ops.result(node)
        result.output(0).get_tensor().set_names({name})
        results.append(result)
    return ov.Model(results, [pixels])


def store_graph(
    folder: Path, graph: ov.Model, layers: Mapping[str, Shape] | None = None
) -> Backbone:
    """Write a graph as a network in f32, which says of itself that it has these layers."""
    folder.mkdir()
    ov.save_model(graph, folder / "f32.xml", compress_to_fp16=False)
    return store_network(folder, layers)


def store_network(folder: Path, layers: Mapping[str, Shape] | None = None) -> Backbone:
    """Make what lies in a folder a network: it says of itself what it is, and all hashes fit."""
    said = {
        "name": "small",
        "input": {"height": SIDE, "width": SIDE},
        "layers": {
            name: {"channels": channels, "height": rows, "width": columns, "stride": SIDE // rows}
            for name, (channels, rows, columns) in (layers or {"deep": (4, 4, 4)}).items()
        },
        "sha256": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ("f32.xml", "f32.bin")
        },
    }
    (folder / "manifest.json").write_text(json.dumps(said))
    return read_folder(folder, "f32", cure="make it again")


def save_each_kind(folder: Path) -> list[Path]:
    """Write a model of each kind, on a small network that is stored with it."""
    folder.mkdir()
    small = store_graph(folder / "network", small_network())
    shuffling = store_graph(folder / "shuffling-network", shuffling_network())
    corner = Mask((((0.0, 0.0), (0.1, 0.0), (0.0, 0.1)),))
    kinds: Mapping[str, tuple[Backbone, FreDetector | SgfrDetector, Mask | None]] = {
        "subspace": (small, _fre(_subspace()), None),
        "shuffling": (shuffling, _fre(_subspace()), None),
        "masked": (shuffling, _fre(_subspace()), corner),
        "autoencoder": (small, _fre(_autoencoder(tied=False)), None),
        "tied": (shuffling, _fre(_autoencoder(tied=True)), None),
        "bank": (small, _bank(), None),
    }
    for name, (net, detector, mask) in kinds.items():
        save_model(_model(net, detector, mask), folder / name)
    return [folder / name for name in kinds]


def _rows(
    seed: int, count: int, features: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    noise = np.random.default_rng(seed).normal(size=(features, count))
    return np.asarray(np.linalg.qr(noise).Q.T, np.float32)


def _subspace() -> Subspace:
    return Subspace(
        mean=np.ones(64, np.float32),
        directions=_rows(0, 3, 64).astype(np.float16),
        singular_values=np.array([4.0, 3, 2, 1]),
    )


def _autoencoder(*, tied: bool) -> LinearAutoencoder:
    encoder, decoder = (_rows(seed, 3, 64).astype(np.float16) for seed in (1, 2))
    return LinearAutoencoder(
        mean=np.ones(64, np.float32),
        encoder=encoder,
        decoder=encoder if tied else decoder,
        retained=0.5,
    )


def _fre(subspace: Subspace | LinearAutoencoder) -> FreDetector:
    layers = {"deep": FittedLayer(subspace=subspace, shape=(4, 4, 4))}
    return FreDetector(
        score_layers=layers,
        map_layers=layers,
        retain=0.9,
        shares=(0.9,),
        heldout=np.ones((1, 20), np.float32),
    )


def _bank() -> SgfrDetector:
    shapes = {"deep": (4, 4, 4), "deep/2": (4, 2, 2)}
    layers = {
        name: BankLayer(
            bank=store_bank(_rows(3, 12, int(np.prod(shape))), precision="int8"), shape=shape
        )
        for name, shape in shapes.items()
    }
    recipe = Recipe(
        sampling_layer="deep/2",
        map_layers=("deep",),
        samples=5,
        sparsity=2,
        tolerance=0.0,
        rule="error",
    )
    return SgfrDetector(layers=layers, recipe=recipe)


def _model(net: Backbone, detector: FreDetector | SgfrDetector, mask: Mask | None) -> Model:
    return Model(
        backbone=BackboneId(net.name, net.precision, net.sha256),
        stored=net,
        mask=mask,
        preprocessing=PREPROCESSING,
        height=SIDE,
        width=SIDE,
        detector=detector,
        distinct_frames=10.0,
        calibration=some_calibration(),
        source="nothing",
        created=CREATED,
    )
