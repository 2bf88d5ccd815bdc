"""Backbone and FRE heads as one OpenVINO graph: uint8 frames in, scores or maps out.

Built from the backbone's stored graph and the model's tensors through the opset, so nothing
but OpenVINO is needed. One model's head hangs on the backbone itself, in one graph; heads of
several models are graphs of their own, fed with the features of one graph of the backbone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops

from streamline.backbone import Backbone, parse_tap
from streamline.fre import LinearAutoencoder, resize_bilinear
from streamline.fre.reference import TINY
from streamline.infer.network import read_network, refusing
from streamline.model import FittedLayer, FreDetector

__all__ = [
    "MAP",
    "SCORE",
    "Head",
    "Taps",
    "exact_score_head",
    "feature_graph",
    "head_graph",
    "joined_graph",
    "map_head",
    "score_head",
    "taps_of",
]

SCORE = "score"
MAP = "map"
Taps = Mapping[str, ov.Output]
"""The backbone's features by layer, pooled or not, f32, ``(n, c, h, w)`` or flattened."""

Head = Callable[[Taps, FreDetector], ov.Node]
"""Hangs what a detector makes of the features on them: a score, or a map."""

_MOST_NOISE = 2e-4
"""Root mean square error of a unit direction's numbers, beyond which 8 bits are too few: they
suffice for wide layers, not for directions of few large numbers. Scores of bottles moved by 2.4 to
5 times as much, of themselves, at most; so by less than a thousandth."""

_LARGEST_HALF = float(np.finfo(np.float16).max)


def feature_graph(core: ov.Core, net: Backbone, layers: Sequence[str]) -> ov.Model:
    """Cut the backbone to the named layers, each output flattened to ``(n, c * h * w)``."""
    graph = read_network(core, net)
    with refusing(net):
        taps = taps_of(graph, layers)
        results = [_named(_flat(tap), layer) for layer, tap in taps.items()]
        return ov.Model(results, graph.get_parameters(), f"{graph.get_friendly_name()}-features")


def joined_graph(
    core: ov.Core, net: Backbone, layers: Sequence[str], head: Head, detector: FreDetector
) -> ov.Model:
    """Join the backbone, cut after the last layer that the head uses, and the head."""
    graph = read_network(core, net)
    with refusing(net):
        return ov.Model([head(taps_of(graph, layers), detector)], graph.get_parameters())


def head_graph(net: Backbone, layers: Sequence[str], head: Head, detector: FreDetector) -> ov.Model:
    """Hang a head on features as a `feature_graph` gives them: one input for each layer."""
    inputs = {name: _features_of(net, name) for name in layers}
    taps = {name: parameter.output(0) for name, parameter in inputs.items()}
    return ov.Model([head(taps, detector)], list(inputs.values()))


def _features_of(net: Backbone, name: str) -> ov.op.Parameter:
    layer = net.layer(name)
    values = layer.channels * layer.height * layer.width
    parameter = ops.parameter([-1, values], np.float32, name)
    parameter.output(0).get_tensor().set_names({name})
    return parameter


def taps_of(graph: ov.Model, layers: Iterable[str]) -> Taps:
    """Find layers in the outputs of a backbone, where they are named, and pool what is to be."""
    outputs = {
        name: output.get_node().input_value(0)
        for output in graph.outputs
        for name in output.get_names()
    }
    taps = {layer: parse_tap(layer) for layer in layers}
    return {layer: _pooled(outputs[tap.layer], tap.pooling) for layer, tap in taps.items()}


def _pooled(features: ov.Output, side: int) -> ov.Output:
    """Average over squares of this side, without overlap, as nn.AvgPool2d does."""
    if side == 1:
        return features
    square, nothing = [side, side], [0, 0]
    pool = ops.avg_pool(features, square, nothing, nothing, square, exclude_pad=True)
    return pool.output(0)


def score_head(taps: Taps, detector: FreDetector) -> ov.Node:
    """Hang a detector's score on the backbone: f32, shape ``(n,)``; directions in 8 bits.

    It has the same bits in whatever batch a frame is. Processors with AVX-512 add up the products
    of a frame by itself in another order than those of several, so an empty one keeps it company;
    what takes the time is to read the directions, once for all of them.
    """
    accompanied = {name: _accompanied(tap) for name, tap in taps.items()}
    score = _score(accompanied, detector, _in_eight_bits)
    first, last, step = (np.array([one]) for one in (0, -1, 1))
    return _named(ops.slice(score, first, last, step), SCORE)


def exact_score_head(taps: Taps, detector: FreDetector) -> ov.Node:
    """Hang a detector's score on the backbone, with its directions as they are."""
    return _named(_score(taps, detector, _in_half), SCORE)


def _score(taps: Taps, detector: FreDetector, store: "_Store") -> ov.Node:
    squares = [
        _Projection(taps[name], layer, store).squared_error()
        for name, layer in detector.score_layers.items()
    ]
    norm = ops.exp(ops.multiply(_mean_log(squares), np.float32(0.5)))
    return ops.squeeze(norm, [1])


def _accompanied(tap: ov.Output) -> ov.Output:
    """Put an empty frame after those of a batch."""
    shape = [1, *(side.get_length() for side in list(tap.partial_shape)[1:])]
    return ops.concat([tap, ops.constant(np.zeros(shape, np.float32))], 0).output(0)


def map_head(taps: Taps, detector: FreDetector) -> ov.Node:
    """Hang a detector's map on the backbone: f16, shape ``(n, mh, mw)``."""
    parts = [
        _evened(
            _resized(_Projection(taps[name], layer, _in_half).error_map(), detector.map_shape),
            layer,
            detector.map_shape,
        )
        for name, layer in detector.map_layers.items()
    ]
    fused = _blanked(ops.squeeze(ops.exp(_mean_log(parts)), [1]), detector)
    # Beyond float16's range a place is as bad as can be: no infinity on the wire.
    return _named(ops.convert(ops.clamp(fused, 0.0, _LARGEST_HALF), "f16"), MAP)


class _Projection:
    """One layer's centred features and their coordinates in the subspace."""

    def __init__(self, tap: ov.Output, layer: FittedLayer, store: "_Store") -> None:
        self._subspace = layer.subspace
        self._shape = layer.shape
        self._centred = _centred(tap, layer)
        self._store = store
        self._encoder = store(layer.subspace.encoder)
        self._coordinates = ops.matmul(
            self._centred, self._encoder, transpose_a=False, transpose_b=True
        )

    def squared_error(self) -> ov.Node:
        """Squared norm of the residual, shape ``(n, 1)``.

        By Pythagoras where the directions are orthonormal: the residual itself would cost
        the same multiplication again. On held-out frames the norms differ by a fifth or more,
        so the difference loses no more than two bits.
        """
        if isinstance(self._subspace, LinearAutoencoder):
            return self._autoencoder_error(self._subspace)
        whole = _sum_of_squares(self._centred)
        kept = _sum_of_squares(self._coordinates)
        return ops.subtract(whole, kept)

    def _autoencoder_error(self, autoencoder: LinearAutoencoder) -> ov.Node:
        if not autoencoder.tied:
            return _sum_of_squares(self._residual())
        # |c - Wᵀ z|² = |c|² - 2 |z|² + zᵀ (W Wᵀ) z with z = W c: one large product again.
        weights = autoencoder.encoder.astype(np.float64)
        products = ops.constant(np.asarray(weights @ weights.T, np.float32))
        turned = ops.matmul(self._coordinates, products, transpose_a=False, transpose_b=False)
        twice = ops.multiply(self._coordinates, np.float32(2))
        kept = ops.multiply(self._coordinates, ops.subtract(twice, turned))
        return ops.subtract(
            _sum_of_squares(self._centred), ops.reduce_sum(kept, [1], keep_dims=True)
        )

    def _residual(self) -> ov.Node:
        subspace = self._subspace
        same = subspace.decoder is subspace.encoder
        decoder = self._encoder if same else self._store(subspace.decoder)
        rebuilt = ops.matmul(self._coordinates, decoder, transpose_a=False, transpose_b=False)
        return ops.subtract(self._centred, rebuilt)

    def error_map(self) -> ov.Node:
        """Channel mean of the squared residual, shape ``(n, 1, h, w)``."""
        residual = self._residual()
        picture = ops.reshape(residual, np.array([0, *self._shape]), special_zero=True)
        return ops.reduce_mean(ops.multiply(picture, picture), [1], keep_dims=True)


_Store = Callable[[npt.NDArray[np.floating]], ov.Node]
"""Puts weights of shape ``(k, d)`` into a graph."""


def _in_half(weights: npt.NDArray[np.floating]) -> ov.Node:
    """Keep weights in float16 in the graph too; the device converts once, when it compiles."""
    # OpenVINO takes strided float16 for int16.
    return ops.convert(ops.constant(np.ascontiguousarray(weights, np.float16)), "f32")


def _in_eight_bits(weights: npt.NDArray[np.floating]) -> ov.Node:
    """Keep weights in 8 bits and a scale for each direction, where that is good enough.

    The device reads them so for every frame, a quarter of what it would read in float32. They
    add noise to the features' coordinates; see `_MOST_NOISE`.
    """
    codes = np.empty(weights.shape, np.int8)
    scales = np.empty((len(weights), 1), np.float32)
    lost = whole = 0.0
    for row, stored in enumerate(weights):
        direction = stored.astype(np.float32)
        scales[row] = max(np.abs(direction).max() / 127, np.finfo(np.float32).tiny)
        codes[row] = np.rint(direction / scales[row])
        lost += float(np.square(direction - codes[row] * scales[row]).sum())
        whole += float(np.square(direction).sum())
    if lost > _MOST_NOISE**2 * weights.shape[1] * whole:
        return _in_half(weights)
    return ops.multiply(ops.convert(ops.constant(codes), "f32"), ops.constant(scales))


def _centred(tap: ov.Output, layer: FittedLayer) -> ov.Node:
    """Take the mean off the features; what a mask leaves out becomes 0."""
    centred = ops.subtract(_flat(tap), ops.constant(layer.subspace.mean[None]))
    if layer.kept is None:
        return centred
    seen = np.broadcast_to(layer.kept, layer.shape).reshape(1, -1)
    return ops.multiply(centred, ops.constant(seen.astype(np.float32)))


def _evened(part: ov.Node, layer: FittedLayer, shape: tuple[int, int]) -> ov.Node:
    """Make up for cells that were left out, where a map was enlarged from them and others."""
    if layer.kept is None:
        return part
    share = _share_seen(layer.kept, shape)
    gain = np.divide(1, share, out=np.zeros_like(share), where=share > 0)
    return ops.multiply(part, ops.constant(gain[None, None].astype(np.float32)))


def _blanked(fused: ov.Node, detector: FreDetector) -> ov.Node:
    """Leave the map empty where some layer sees nothing, or the finest one's cell is left out."""
    layers = [layer for layer in detector.map_layers.values() if layer.kept is not None]
    if not layers:
        return fused
    shape = detector.map_shape
    seen = np.ones(shape, np.bool_)
    for layer in layers:
        kept = layer.kept
        if kept is not None:
            seen &= kept if kept.shape == shape else _share_seen(kept, shape) > 0
    return ops.multiply(fused, ops.constant(seen[None].astype(np.float32)))


def _share_seen(kept: npt.NDArray[np.bool_], shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    return np.asarray(resize_bilinear(kept[None].astype(np.float64), size=shape)[0], np.float64)


def _flat(tap: ov.Output) -> ov.Node:
    return ops.reshape(tap, np.array([0, -1]), special_zero=True)


def _sum_of_squares(node: ov.Node) -> ov.Node:
    return ops.reduce_sum(ops.multiply(node, node), [1], keep_dims=True)


def _mean_log(nodes: Sequence[ov.Node]) -> ov.Node:
    total = ops.log(ops.maximum(nodes[0], np.float32(TINY)))
    for node in nodes[1:]:
        total = ops.add(total, ops.log(ops.maximum(node, np.float32(TINY))))
    return ops.multiply(total, np.float32(1 / len(nodes)))


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
