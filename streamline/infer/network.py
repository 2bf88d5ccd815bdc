"""A network's stored graph, which may have come with a model from anywhere: read without trust.

What is read is what its hashes name. OpenVINO works out shapes while it reads, and numbers that
do not depend on a frame when it compiles; how large either becomes is up to the graph. So its
text is looked through before it is read, and its shapes before it is compiled.
"""

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import openvino as ov

from streamline.backbone import Backbone, comes_with_package, read_files
from streamline.errors import ModelError
from streamline.infer.ir import Operation, operations_of

__all__ = ["read_network", "refusing"]

_SHAPED: Final = frozenset({
    "AdaptiveAvgPool", "AdaptiveMaxPool", "Broadcast", "Gather", "Interpolate", "MVN",
    "NormalizeL2", "Pad", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceProd", "ReduceSum", "Reshape", "Slice", "Split", "Squeeze", "StridedSlice",
    "Transpose", "Unsqueeze", "VariadicSplit",
})  # fmt: skip
"""What all inputs but the first decide the shape of."""

_TRANSPOSED: Final = frozenset({"ConvolutionBackpropData", "GroupConvolutionBackpropData"})
"""What all inputs but the first and the weights decide the shape of."""

_COMPUTING: Final = frozenset({
    "Abs", "Add", "AvgPool", "BatchNormInference", "Clamp", "Concat", "Const", "Convert",
    "Convolution", "DepthToSpace", "Divide", "Elu", "Equal", "Erf", "Exp", "FakeQuantize",
    "Floor", "Gelu", "Greater", "GroupConvolution", "GroupNormalization", "HSigmoid", "HSwish",
    "HardSigmoid", "Less", "Log", "MatMul", "MaxPool", "Maximum", "Minimum", "Mish", "Mod",
    "Multiply", "Negative", "PReLU", "Parameter", "Power", "ReLU", "Result",
    "ScaledDotProductAttention", "Selu", "ShapeOf", "ShuffleChannels", "Sigmoid", "SoftMax",
    "SoftPlus", "SpaceToDepth", "Sqrt", "SquaredDifference", "Subtract", "Swish", "Tanh",
})  # fmt: skip
"""What else networks of features consist of; each gives no more than its inputs let it."""

_LEAST_INPUTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("Const", "Parameter"), 0),
    **dict.fromkeys(("BatchNormInference", "FakeQuantize"), 5),
    "Slice": 4,
    **dict.fromkeys(
        ("Gather", "GroupNormalization", "HardSigmoid", "Pad", "ScaledDotProductAttention", "Selu",
         "StridedSlice", "VariadicSplit"), 3,
    ),
    **dict.fromkeys(
        ("Add", "AdaptiveAvgPool", "AdaptiveMaxPool", "Broadcast", "Convolution",
         "ConvolutionBackpropData", "Divide", "Equal", "Greater", "GroupConvolution",
         "GroupConvolutionBackpropData", "Interpolate", "Less", "MatMul", "Maximum", "Minimum",
         "Mod", "Multiply", "NormalizeL2", "PReLU", "Power", "ReduceL1", "ReduceL2", "ReduceMax",
         "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Split",
         "SquaredDifference", "Subtract", "Transpose", "Unsqueeze"), 2,
    ),
}  # fmt: skip
"""Of operations that take more than one or none; OpenVINO looks for some before it counts."""

_OF_SHAPES: Final = frozenset({
    "Add", "Concat", "Convert", "Divide", "Equal", "Floor", "Gather", "Greater", "Less",
    "Maximum", "Mod", "Multiply", "ReduceProd", "Slice", "Squeeze", "StridedSlice", "Subtract",
    "Unsqueeze",
})  # fmt: skip
"""By what shapes are computed, of shapes and of small constants."""

_DIVIDING: Final = frozenset({"Divide", "Mod"})
"""By 0 and by -1 a processor can't always do it to whole numbers: the process would be ended."""

_FLOATING: Final = frozenset({"bf16", "f16", "f32", "f64"})
_WHOLE: Final = {"i16": "<i2", "i32": "<i4", "i64": "<i8", "i8": "i1", "u8": "u1"}
"""Types of numbers as OpenVINO calls them, and as NumPy does."""

_MOST_PADDED: Final = 4096
"""At an edge; by what wraps around, or cuts off too much, OpenVINO writes anywhere in memory."""

_MOST_IN_SHAPE: Final = 4096
"""Numbers anywhere in the computation of a shape; a shape has a handful."""

_RANK: Final = 16
_BY_ANYTHING: Final = "it divides whole numbers by what may be 0 or -1"

_MOST_PER_PIXEL: Final = 256
"""Numbers that an operation may give for each pixel of a frame; VGG-16, with the largest features
of all in the catalogue, gives 64."""

_MOST_FRAMES: Final = 256
"""In a batch."""

_MOST_PER_BYTE: Final = 16
"""Numbers that may be computed from constants alone, all steps counted, for each byte of weights:
what 8 bits or 16 stand for takes five."""

_FEW: Final = 1 << 16


def read_network(core: ov.Core, net: Backbone) -> ov.Model:
    """Read a backbone's stored graph, reshaped if it is stored for another input size.

    Raises
    ------
    ModelError
        If its files are not those that it was made of, it is no network of features, lacks a layer
        that it is to have, or would take more memory than any network of features.
    """
    graph, weights = read_files(net)
    with refusing(net):
        # Those of the package are as good as its code.
        trusted = comes_with_package(net)
        if not trusted:
            operations = operations_of(graph)
            _require_dividing(operations, _require_plain(operations), weights)
        network = core.read_model(graph, weights)
        wanted = ov.PartialShape([-1, net.height, net.width, 3])
        if [one.partial_shape for one in network.inputs] != [wanted]:
            network.reshape(wanted)
        if not trusted:
            _require_divisors(network)
            _require_padding(network)
            _require_bounded(network, net, len(weights))
            _require_layers(network, net)
    return network


@contextmanager
def refusing(net: Backbone) -> Iterator[None]:
    """Turn what goes wrong with a network's graph into a sentence."""
    try:
        yield
    except (RuntimeError, ValueError, LookupError, TypeError, ArithmeticError) as exc:
        reason = (str(exc).strip().splitlines() or [type(exc).__name__])[-1].strip()
        msg = (
            f"{net.xml}: this network can't be used ({reason[:200]}); restore a copy of the model "
            "or fit it again"
        )
        raise ModelError(msg) from exc


def _require_plain(operations: Sequence[Operation]) -> Mapping[str, int]:
    """Refuse operations that are not known here, and shapes that are computed from much.

    Returns
    -------
    mapping
        Of the steps that compute shapes, at most how many numbers each gives.
    """
    sizes: dict[str, int] = {}
    for one in operations:
        if one.kind not in _COMPUTING | _SHAPED | _TRANSPOSED:
            msg = f"it has an operation that no network of features has: {one.kind}"
            raise ValueError(msg)
        if len(one.sources) < _LEAST_INPUTS.get(one.kind, 1):
            msg = f"{one.kind} {one.name} takes too little"
            raise ValueError(msg)
        if not all(
            sizes.get(source, _MOST_IN_SHAPE + 1) <= _MOST_IN_SHAPE
            for source in _shape_sources(one)
        ):
            msg = f"the shape of {one.kind} {one.name} is computed from too much"
            raise ValueError(msg)
        size = _most_numbers(one, sizes)
        if size is not None:
            sizes[one.name] = size
    return sizes


def _shape_sources(one: Operation) -> Sequence[str]:
    """List what of its inputs the shape of an operation is computed from."""
    if one.kind in _TRANSPOSED:
        return one.sources[2:]
    return one.sources[1:] if one.kind in _SHAPED else ()


def _most_numbers(one: Operation, sizes: dict[str, int]) -> int | None:
    """Bound how many numbers a step of the computation of a shape gives; None: it is none."""
    if one.kind == "Const":
        return one.numbers
    if one.kind == "ShapeOf":
        return _RANK
    if one.kind not in _OF_SHAPES or any(source not in sizes for source in one.sources):
        return None
    of_each = [sizes[source] for source in one.sources]
    # However they are broadcast, sliced or gathered.
    most = sum(of_each) if one.kind == "Concat" else math.prod(of_each)
    return min(most, _MOST_IN_SHAPE + 1)


def _require_dividing(
    operations: Sequence[Operation], steps: Container[str], weights: bytes
) -> None:
    """Refuse to divide by what is not sure to divide, in steps that compute shapes.

    They are computed while the network is read; for all others see `_require_divisors`.
    """
    constants = {one.name: one for one in operations if one.kind == "Const"}
    floating: set[str] = set()
    for one in operations:
        if one.name not in steps:
            continue
        if one.type in _FLOATING or (not one.type and not floating.isdisjoint(one.sources[:1])):
            floating.add(one.name)
        if one.kind in _DIVIDING and floating.isdisjoint(one.sources):
            divisor = constants.get(one.sources[1])
            whole = None if divisor is None else _WHOLE.get(divisor.type)
            if divisor is None or whole is None:
                raise ValueError(_BY_ANYTHING)
            _require_divisor(np.frombuffer(weights[divisor.place], whole))


def _require_divisors(network: ov.Model) -> None:
    """Refuse to divide whole numbers by what is not sure to divide."""
    for one in network.get_ops():
        if one.get_type_name() in _DIVIDING and one.get_element_type().is_integral():
            divisor = one.input_value(1).get_node()
            if divisor.get_type_name() != "Constant":
                raise ValueError(_BY_ANYTHING)
            _require_divisor(divisor.get_data())


def _require_divisor(numbers: npt.NDArray[Any]) -> None:
    if ((numbers == 0) | (numbers == -1)).any():
        raise ValueError(_BY_ANYTHING)


def _require_padding(network: ov.Model) -> None:
    """Refuse to pad by what is not sure to be little, or to cut off more than there is."""
    for one in network.get_ops():
        if one.get_type_name() != "Pad":
            continue
        least = [-extent.get_min_length() for extent in one.input_value(0).partial_shape]
        for sides in (one.input_value(1).get_node(), one.input_value(2).get_node()):
            if (
                sides.get_type_name() != "Constant"
                or len(sides.get_data()) != len(least)
                or ((sides.get_data() < least) | (sides.get_data() > _MOST_PADDED)).any()
            ):
                msg = "it pads by what may be no number of pixels"
                raise ValueError(msg)


def _require_bounded(network: ov.Model, net: Backbone, weights: int) -> None:
    """Refuse operations that give more than a frame of that size, or weights, can have in them."""
    most = _MOST_PER_PIXEL * net.height * net.width + _FEW
    left = _MOST_PER_BYTE * weights + _FEW
    moving: set[str] = set()
    for one in _operations_on(network, net, frames=1):
        kind = one.get_type_name()
        if kind == "Constant":
            continue
        numbers = _numbers(one)
        sources = {value.get_node().get_name() for value in one.input_values()}
        if kind != "Parameter" and moving.isdisjoint(sources):
            left -= numbers
            continue
        moving.add(one.get_name())
        _require_few(kind, numbers, most)
    if left < 0:
        msg = "it computes far more numbers from its weights than those are"
        raise ValueError(msg)
    if any(one.get_type_name() == "Broadcast" for one in network.get_ops()):
        _require_bounded_in_batches(network, net, most)


def _require_bounded_in_batches(network: ov.Model, net: Backbone, most: int) -> None:
    """Refuse a Broadcast to a shape that grows in another way than the number of frames.

    That of each step of its computation is bounded for all batches up to a size at once.
    """
    frames = 1
    while frames < _MOST_FRAMES:
        frames *= 2
        for one in _operations_on(network, net, frames=frames):
            if one.get_type_name() == "Broadcast":
                _require_few("Broadcast", _numbers(one) / frames, most)


def _operations_on(network: ov.Model, net: Backbone, *, frames: int) -> Sequence[ov.Node]:
    """List what a batch of so many frames at most goes through, with its shapes then."""
    sized = network.clone()
    sized.reshape(ov.PartialShape([ov.Dimension(1, frames), net.height, net.width, 3]))
    return list(sized.get_ordered_ops())


def _require_few(kind: str, numbers: float, most: int) -> None:
    if numbers > most:
        msg = f"a {kind} gives {numbers:.0f} numbers for a frame, {most} are allowed"
        raise ValueError(msg)


def _numbers(one: ov.Node) -> int:
    """Bound how many an operation gives, and holds on its way to them."""
    numbers = sum(math.prod(_extents(output.partial_shape)) for output in one.outputs())
    if one.get_type_name() == "ScaledDotProductAttention":
        # The weight of each key for each query.
        keys = _extents(one.input_value(1).partial_shape)[-2]
        numbers += math.prod(_extents(one.output(0).partial_shape)[:-1]) * keys
    return numbers


def _extents(shape: ov.PartialShape) -> Sequence[int]:
    """Bound each extent of what an operation gives."""
    if shape.rank.is_dynamic or any(extent.get_max_length() < 0 for extent in shape):
        msg = f"the shape of its features is not known before it runs: {shape}"
        raise ValueError(msg)
    return [extent.get_max_length() for extent in shape]


def _require_layers(network: ov.Model, net: Backbone) -> None:
    """Check that each layer is there, by its name and in its shape."""
    found = {name: output for output in network.outputs for name in output.get_names()}
    for name, layer in net.layers.items():
        shape = [layer.channels, layer.height, layer.width]
        if name not in found:
            msg = f"it gives no layer {name!r}"
            raise ValueError(msg)
        given = found[name]
        if given.partial_shape != ov.PartialShape([-1, *shape]):
            msg = f"its layer {name!r} is {given.partial_shape}, not {shape} for each frame"
            raise ValueError(msg)
        if given.element_type != ov.Type.f32:
            msg = f"its layer {name!r} is not of single precision"
            raise ValueError(msg)
