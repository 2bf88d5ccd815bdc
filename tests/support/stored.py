"""Small networks as they are stored, of any graph."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from streamline.backbone import Backbone, read_folder

__all__ = ["SIDE", "frames", "small_network", "store_graph", "store_network", "with_layers"]

SIDE = 32
"""Of a frame, px."""

Shape = tuple[int, int, int]


def frames() -> ov.op.Parameter:
    """What goes in: uint8, ``(n, 32, 32, 3)``."""
    return ops.parameter([-1, SIDE, SIDE, 3], np.uint8, "pixels")


def small_network() -> ov.Model:
    """A convolution of stride 8 to four channels: layer ``deep``, ``(n, 4, 4, 4)``."""
    pixels = frames()
    picture = ops.transpose(ops.convert(pixels, "f32"), np.array([0, 3, 1, 2]))
    weights = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32)
    deep = ops.relu(ops.convolution(picture, weights, [8, 8], [0, 0], [0, 0], [1, 1]))
    return with_layers(pixels, deep=deep)


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
