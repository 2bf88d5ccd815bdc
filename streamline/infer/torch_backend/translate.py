"""OpenVINO's graphs as torch modules: what a model computes is written down only once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import openvino as ov
import torch
from torch import Tensor, fx

from streamline.errors import ConfigError
from streamline.infer.torch_backend.operations import (
    LINEAR,
    OPERATIONS,
    STATIC,
    convolution,
    grouped_convolution,
    quantised_alike,
    quantised_by_channel,
)

__all__ = ["translate"]

_OFF_ZERO = 1e-3
"""How far from 0, in levels, the one may lie that is 0."""


@dataclass(frozen=True, slots=True)
class _Value:
    """What an operation gives: a node of torch's graph, or numbers that are known already."""

    node: fx.Node | None = None
    constant: Tensor | None = None
    low: bool = False
    """Whether it is in the low arithmetic."""

    biased: bool = True
    """Whether a convolution that could take the bias that is added next has one."""


def translate(graph: ov.Model, dtype: torch.dtype) -> fx.GraphModule:
    """Build the torch module that computes what a graph of OpenVINO does.

    Parameters
    ----------
    graph : openvino.Model
        A network with or without a head, or a head alone; its inputs and outputs are the module's.
    dtype : torch.dtype
        Of convolutions, of what lies between them, and of the factors of matrix products; sums,
        logarithms and all else are in float32.

    Returns
    -------
    torch.fx.GraphModule
        Gives a tuple of its outputs; in evaluation mode.

    Raises
    ------
    ConfigError
        If the graph has an operation that is not known here.
    """
    return _Translation(dtype).module(graph)


class _Translation:
    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._low = dtype != torch.float32
        self._graph = fx.Graph()
        self._root = torch.nn.Module()
        self._values: dict[tuple[str, int], _Value] = {}
        self._count = 0

    def module(self, graph: ov.Model) -> fx.GraphModule:
        """Translate operation by operation."""
        results: list[fx.Node] = []
        for parameter in graph.get_parameters():
            # Named in the graph's order of inputs, whatever order its operations are walked in.
            node = self._graph.placeholder(f"input_{len(self._values)}")
            self._keep(parameter, _Value(node))
        for result in graph.get_ordered_ops():
            if result.get_type_name() not in {"Parameter", "Result"}:
                self._keep(result, self._value(result))
        for result in graph.get_results():
            value = self._input(result, 0)
            results.append(self._node_of(value, low=False))
        self._graph.output(tuple(results))
        self._graph.eliminate_dead_code()
        return fx.GraphModule(self._root, self._graph).eval()

    def _keep(self, operation: ov.Node, value: _Value) -> None:
        self._values[operation.get_name(), 0] = value

    def _input(self, operation: ov.Node, index: int) -> _Value:
        source = operation.input_value(index)
        return self._values[source.get_node().get_name(), source.get_index()]

    def _value(self, operation: ov.Node) -> _Value:
        kind = operation.get_type_name()
        if kind == "Constant":
            return _Value(constant=torch.from_numpy(operation.get_data().copy()))
        inputs = [self._input(operation, i) for i in range(operation.get_input_size())]
        attributes = _attributes(operation)
        if kind == "GroupConvolution":
            return self._convolution(inputs, attributes, grouped=True)
        if kind == "Convolution":
            return self._convolution(inputs, attributes, grouped=False)
        if kind not in OPERATIONS or (
            kind == "Interpolate" and not LINEAR.items() <= attributes.items()
        ):
            raise _unknown(kind)
        if all(value.constant is not None for value in inputs):
            return _Value(constant=OPERATIONS[kind](*_arguments(kind, inputs), **attributes))
        if kind == "Add" and (biased := self._with_bias(operation, inputs)) is not None:
            return biased
        return self._call(operation, inputs, attributes)

    def _call(
        self, operation: ov.Node, inputs: Sequence[_Value], attributes: dict[str, Any]
    ) -> _Value:
        kind = operation.get_type_name()
        moving = inputs[: len(inputs) - STATIC.get(kind, 0)]
        low = any(value.low for value in moving)
        if kind == "MatMul":
            arguments = [self._node_of(value, low=self._low) for value in moving]
            low = False
        elif kind == "FakeQuantize":
            return _Value(self._quantised(moving, attributes), low=low)
        else:
            arguments = [self._node_of(value, low=low) for value in moving]
        statics = [_numbers(value) for value in inputs[len(moving) :]]
        node = self._graph.call_function(OPERATIONS[kind], (*arguments, *statics), attributes)
        if kind == "Reshape" and low and len(operation.get_output_partial_shape(0)) == 2:
            # Flattened features: errors are computed in single precision.
            return _Value(self._graph.call_method("float", (node,)))
        return _Value(node, low=low)

    def _quantised(self, inputs: Sequence[_Value], attributes: dict[str, Any]) -> fx.Node:
        """Round values between limits; in one pass where 0 stays 0, as quantised networks have it.

        What is cut off at limits that lie further apart need not be cut off before.
        """
        first, *limits = inputs
        values = self._node_of(first, low=first.low)
        steps = _steps([limit.constant for limit in limits], attributes["levels"])
        if steps is None:
            bounds = [self._node_of(limit, low=False) for limit in limits]
            return self._graph.call_function(
                OPERATIONS["FakeQuantize"], (values, *bounds), attributes
            )
        scales, zeros = steps
        values = _unclamped(values, scales, zeros, attributes["levels"])
        if scales.numel() == 1:
            steps_of_all = (float(scales), int(zeros))
            return self._graph.call_function(quantised_alike, (values, *steps_of_all), attributes)
        # Whole numbers, but in floating point: of integers torch asks the device for the largest,
        # and waits.
        stored = (self._stored(scales.flatten()), self._stored(zeros.flatten().float()))
        return self._graph.call_function(quantised_by_channel, (values, *stored), attributes)

    def _convolution(
        self, inputs: Sequence[_Value], attributes: dict[str, Any], *, grouped: bool
    ) -> _Value:
        pixels, weights = inputs
        groups = 1
        kernel = weights.constant
        if kernel is None:
            what = "a convolution whose weights are computed"
            raise _unknown(what)
        if grouped:
            kernel, groups = grouped_convolution(kernel)
        kernel = kernel.to(self._dtype).contiguous(memory_format=torch.channels_last)
        arguments = (self._node_of(pixels, low=pixels.low), self._stored(kernel))
        node = self._graph.call_function(convolution, arguments, {**attributes, "groups": groups})
        return _Value(node, low=self._low, biased=False)

    def _with_bias(self, operation: ov.Node, inputs: Sequence[_Value]) -> _Value | None:
        """Let a convolution add the constant that is added to what it gives, if to nothing else."""
        for index, other in ((0, 1), (1, 0)):
            value, bias = inputs[index], inputs[other].constant
            source = operation.input_value(index)
            alone = len(source.get_target_inputs()) == 1
            if value.node is None or value.biased or bias is None or not alone:
                continue
            if bias.dim() == 4 and bias.numel() == bias.shape[1]:
                stored = self._stored(bias.flatten().to(self._dtype))
                value.node.args = (*value.node.args, stored)
                # Kept before what takes it.
                value.node.prepend(stored)
                return _Value(value.node, low=self._low)
        return None

    def _node_of(self, value: _Value, *, low: bool) -> fx.Node:
        wanted = self._dtype if low else torch.float32
        if value.constant is not None:
            constant = value.constant
            return self._stored(constant.to(wanted) if constant.is_floating_point() else constant)
        assert value.node is not None  # noqa: S101 - one of the two
        if value.low and not low:
            return self._graph.call_method("float", (value.node,))
        return value.node

    def _stored(self, tensor: Tensor) -> fx.Node:
        name = f"constant_{self._count}"
        self._count += 1
        self._root.register_buffer(name, tensor)
        return self._graph.get_attr(name)


def _steps(limits: Sequence[Tensor | None], levels: int) -> tuple[Tensor, Tensor] | None:
    """Return the distance of the levels and which of them is 0, for all values or by channel.

    None if there is none that is 0, or levels go in that don't come out.
    """
    if any(limit is None for limit in limits):
        return None
    low, high, low_out, high_out = (limit for limit in limits if limit is not None)
    by_channel = low.dim() == 4 and low.numel() == low.shape[1]
    alike = torch.equal(low, low_out) and torch.equal(high, high_out)
    if not alike or low.shape != high.shape or not (by_channel or low.numel() == 1):
        return None
    scales = (high.double() - low.double()) / (levels - 1)
    zeros = -low.double() / scales
    if bool(((zeros - zeros.round()).abs() > _OFF_ZERO).any()):
        return None
    return scales.float(), zeros.round().int()


def _unclamped(values: fx.Node, scales: Tensor, zeros: Tensor, levels: int) -> fx.Node:
    """Return what was clamped, if the levels' limits do the same."""
    if values.target is not OPERATIONS["Clamp"]:
        return values
    least, most = (cast("float", values.kwargs[name]) for name in ("min", "max"))
    slack = scales * _OFF_ZERO
    low, high = slack - zeros * scales, (levels - 1 - zeros) * scales - slack
    given = values.args[0]
    inside = float(low.min()) >= least and float(high.max()) <= most
    return given if inside and isinstance(given, fx.Node) else values


def _attributes(operation: ov.Node) -> dict[str, Any]:
    """Return the attributes that say something here."""
    unused = {"auto_broadcast", "auto_pad", "index_element_type", "axis"}
    if operation.get_type_name() == "Concat":
        unused -= {"axis"}
    given = operation.get_attributes().items()
    return {name.replace("-", "_"): value for name, value in given if name not in unused}


def _arguments(kind: str, inputs: Sequence[_Value]) -> list[Any]:
    moving = len(inputs) - STATIC.get(kind, 0)
    return [value.constant for value in inputs[:moving]] + [_numbers(v) for v in inputs[moving:]]


def _numbers(value: _Value) -> list[int]:
    if value.constant is None:
        what = "one whose shape is computed"
        raise _unknown(what)
    return [int(number) for number in value.constant.flatten()]


def _unknown(what: str) -> ConfigError:
    msg = f"torch can't run this network, it has an operation that is not known: {what}; "
    return ConfigError(msg + "set infer.backend to openvino")
