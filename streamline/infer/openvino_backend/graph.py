"""Backbone and FRE heads as one OpenVINO graph: uint8 frames in, scores and maps out.

Built from the backbone's stored graph and the model's tensors through the opset, so nothing
but OpenVINO is needed. Every head hangs on the backbone's outputs: heads of several models
can share one backbone by calling `add_head` for each.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops

from streamline.fre.reference import TINY
from streamline.model import FittedLayer, Model

__all__ = ["MAP", "SCORE", "Taps", "add_head", "feature_graph", "scoring_graph", "taps_of"]

SCORE = "score"
MAP = "map"
Taps = Mapping[str, ov.Output]
"""The backbone's outputs by layer, f32, shape ``(n, c, h, w)``."""

_LARGEST_HALF = float(np.finfo(np.float16).max)


def feature_graph(core: ov.Core, xml: Path, layers: Sequence[str]) -> ov.Model:
    """Cut the backbone to the named layers, each output flattened to ``(n, c * h * w)``."""
    net = core.read_model(xml)
    taps = taps_of(net)
    results = [_named(_flat(taps[layer]), layer) for layer in layers]
    return ov.Model(results, net.get_parameters(), f"{net.get_friendly_name()}-features")


def scoring_graph(core: ov.Core, xml: Path, model: Model, *, maps: bool) -> ov.Model:
    """Join backbone and head; what neither the score nor an asked map needs is not in it."""
    net = core.read_model(xml)
    return ov.Model(add_head(taps_of(net), model, maps=maps), net.get_parameters(), "fre")


def taps_of(net: ov.Model) -> Taps:
    """Find the layers in the outputs of a backbone, where they are named."""
    return {
        name: output.get_node().input_value(0)
        for output in net.outputs
        for name in output.get_names()
    }


def add_head(taps: Taps, model: Model, *, maps: bool) -> list[ov.Node]:
    """Hang a model's score, and its map if asked, on the backbone.

    Returns
    -------
    list of result nodes
        ``score`` f32 ``(n,)``, then ``map`` f16 ``(n, mh, mw)``.
    """
    asked = {*model.score_layers, *(model.map_layers if maps else ())}
    heads = {layer: _Projection(taps[layer], model.layers[layer]) for layer in asked}
    squares = [heads[layer].squared_error() for layer in model.score_layers]
    norm = ops.exp(ops.multiply(_mean_log(squares), np.float32(0.5)))
    results = [_named(ops.squeeze(norm, [1]), SCORE)]
    if maps:
        parts = [heads[layer].error_map() for layer in model.map_layers]
        results.append(_named(_fused_map(parts, map_shape(model)), MAP))
    return results


def map_shape(model: Model) -> tuple[int, int]:
    """Rows and columns of the finest map layer, in which the map is given."""
    shapes = [model.layers[layer].shape[1:] for layer in model.map_layers]
    return max(shapes, key=lambda shape: shape[0] * shape[1])


class _Projection:
    """One layer's centred features and their coordinates in the subspace."""

    def __init__(self, tap: ov.Output, layer: FittedLayer) -> None:
        subspace = layer.subspace
        self._shape = layer.shape
        self._centred = ops.subtract(_flat(tap), ops.constant(subspace.mean[None]))
        # Stored as float16 in the graph too; the device converts once, when it compiles.
        self._directions = ops.convert(
            ops.constant(np.asarray(subspace.directions, np.float16)), "f32"
        )
        self._coordinates = ops.matmul(
            self._centred, self._directions, transpose_a=False, transpose_b=True
        )

    def squared_error(self) -> ov.Node:
        """Squared norm of the residual, shape ``(n, 1)``.

        By Pythagoras, since the directions are orthonormal: the residual itself would cost
        the same multiplication again. On held-out frames the norms differ by a fifth or more,
        so the difference loses no more than two bits.
        """
        whole = _sum_of_squares(self._centred)
        kept = _sum_of_squares(self._coordinates)
        return ops.subtract(whole, kept)

    def error_map(self) -> ov.Node:
        """Channel mean of the squared residual, shape ``(n, 1, h, w)``."""
        rebuilt = ops.matmul(
            self._coordinates, self._directions, transpose_a=False, transpose_b=False
        )
        residual = ops.subtract(self._centred, rebuilt)
        picture = ops.reshape(residual, np.array([0, *self._shape]), special_zero=True)
        return ops.reduce_mean(ops.multiply(picture, picture), [1], keep_dims=True)


def _flat(tap: ov.Output) -> ov.Node:
    return ops.reshape(tap, np.array([0, -1]), special_zero=True)


def _sum_of_squares(node: ov.Node) -> ov.Node:
    return ops.reduce_sum(ops.multiply(node, node), [1], keep_dims=True)


def _mean_log(nodes: Sequence[ov.Node]) -> ov.Node:
    total = ops.log(ops.maximum(nodes[0], np.float32(TINY)))
    for node in nodes[1:]:
        total = ops.add(total, ops.log(ops.maximum(node, np.float32(TINY))))
    return ops.multiply(total, np.float32(1 / len(nodes)))


def _fused_map(parts: Sequence[ov.Node], shape: tuple[int, int]) -> ov.Node:
    resized = [_resized(part, shape) for part in parts]
    fused = ops.squeeze(ops.exp(_mean_log(resized)), [1])
    # Beyond float16's range a place is as bad as can be: no infinity on the wire.
    return ops.convert(ops.clamp(fused, 0.0, _LARGEST_HALF), "f16")


def _resized(part: ov.Node, shape: tuple[int, int]) -> ov.Node:
    if tuple(part.get_output_partial_shape(0).get_max_shape())[2:] == shape:
        return part
    return ops.interpolate(
        part,
        _indices(shape),
        mode="linear_onnx",
        shape_calculation_mode="sizes",
        coordinate_transformation_mode="half_pixel",
        axes=_indices((2, 3)),
    )


def _indices(values: tuple[int, ...]) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)


def _named(node: ov.Node, name: str) -> ov.Node:
    result = ops.result(node)
    result.output(0).get_tensor().set_names({name})
    return result
