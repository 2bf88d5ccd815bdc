"""Graphs translated to torch, against OpenVINO running the same graphs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from streamline.backbone import get
from streamline.errors import ConfigError
from streamline.infer.graphs import Head, exact_score_head, joined_graph, map_head
from tests.support.models import untrained

pytest.importorskip("torch")
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from streamline.infer.torch_backend.translate import translate

Graph = Callable[[ov.Output], Any]

GENERATOR = np.random.default_rng(5)


def numbers(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return GENERATOR.standard_normal(shape).astype(np.float32)


def convolved(begin: list[int], end: list[int], strides: list[int], dilations: list[int]) -> Graph:
    weights = numbers(5, 6, 3, 3)
    return lambda x: ops.convolution(x, weights, strides, begin, end, dilations)


def with_bias(x: ov.Output) -> ov.Node:
    return ops.relu(ops.add(convolved([1, 1], [1, 1], [1, 1], [1, 1])(x), numbers(1, 5, 1, 1)))


def biased_twice(x: ov.Output) -> ov.Node:
    """The sum with one constant is not what the other one is added to."""
    plain = convolved([0, 0], [0, 0], [1, 1], [1, 1])(x)
    left, right = ops.add(plain, numbers(1, 5, 1, 1)), ops.add(numbers(1, 5, 1, 1), plain)
    return ops.concat([left, right], 1)


def quantised(x: ov.Output) -> ov.Node:
    limits = [np.float32(v) for v in (-0.8, 1.1)]
    return ops.fake_quantize(x, *limits, *limits, 255)


def squeezed_excited(x: ov.Output) -> ov.Node:
    """As EfficientNet and MobileNetV3 weigh their channels."""
    mean = ops.reduce_mean(x, np.array([2, 3]), keep_dims=True)
    one = ops.convolution(mean, numbers(3, 6, 1, 1), [1, 1], [0, 0], [0, 0], [1, 1])
    two = ops.convolution(ops.swish(one), numbers(6, 3, 1, 1), [1, 1], [0, 0], [0, 0], [1, 1])
    return ops.multiply(x, ops.sigmoid(two))


def pooled(*, exclude: bool, begin: list[int], end: list[int]) -> Graph:
    return lambda x: ops.avg_pool(x, [2, 2], begin, end, [3, 3], exclude_pad=exclude)


def largest(begin: list[int], end: list[int], rounding: str) -> Graph:
    return lambda x: ops.max_pool(x, [2, 2], [1, 1], begin, end, [3, 3], rounding)


def enlarged(x: ov.Output) -> ov.Node:
    sizes, axes = np.array([23, 17]), np.array([2, 3])
    return ops.interpolate(
        x, sizes, mode="linear_onnx", shape_calculation_mode="sizes", axes=axes,
        coordinate_transformation_mode="half_pixel",
    )  # fmt: skip


def projected(x: ov.Output) -> ov.Node:
    flat = ops.reshape(x, np.array([0, -1]), special_zero=True)
    return ops.matmul(flat, numbers(4, 6 * 9 * 8), transpose_a=False, transpose_b=True)


def odd_order(x: ov.Output) -> ov.Node:
    return ops.subtract(np.float32(1), ops.divide(x, np.float32(3)))


def grouped(x: ov.Output) -> ov.Node:
    return ops.group_convolution(x, numbers(3, 4, 2, 3, 3), [2, 2], [0, 0], [1, 1], [1, 1])


GRAPHS: dict[str, Graph] = {
    "padded alike": convolved([1, 1], [1, 1], [1, 1], [1, 1]),
    "padded below and right": convolved([0, 0], [1, 1], [2, 2], [1, 1]),
    "padded by sides": convolved([0, 2], [1, 3], [1, 2], [1, 1]),
    "dilated": convolved([2, 2], [2, 2], [1, 1], [2, 2]),
    "grouped": grouped,
    "bias": with_bias,
    "two biases": biased_twice,
    "quantised": quantised,
    "squeeze and excite": squeezed_excited,
    "hswish": ops.hswish,
    "hsigmoid": ops.hsigmoid,
    "mean of squares": pooled(exclude=True, begin=[0, 0], end=[0, 0]),
    "mean of padded squares": pooled(exclude=False, begin=[1, 1], end=[1, 1]),
    "mean of squares, not of their padding": pooled(exclude=True, begin=[1, 1], end=[1, 1]),
    "largest": largest([1, 1], [1, 1], "floor"),
    "largest, to the edge": largest([0, 0], [0, 0], "ceil"),
    "largest, padded below": largest([0, 0], [1, 1], "floor"),
    "enlarged": enlarged,
    "projected": projected,
    "order of operands": odd_order,
    "clamped": lambda x: ops.clamp(x, -0.5, 0.25),
    "turned": lambda x: ops.transpose(x, np.array([0, 2, 3, 1])),
    "sums": lambda x: ops.reduce_sum(x, np.array([1]), keep_dims=False),
    "logarithm": lambda x: ops.log(ops.maximum(x, np.float32(1e-3))),
    "exponential": ops.exp,
    "inserted": lambda x: ops.unsqueeze(x, np.array([1])),
}


def graph_of(build: Graph) -> ov.Model:
    pixels = ops.parameter([-1, 6, 9, 8], np.float32)
    return ov.Model([ops.result(build(pixels.output(0)))], [pixels])


@pytest.mark.parametrize("name", GRAPHS)
def test_an_operation_gives_what_openvino_gives(name: str) -> None:
    graph, pixels = graph_of(GRAPHS[name]), numbers(2, 6, 9, 8)
    core = ov.Core()
    compiled = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    expected = np.array(compiled(pixels)[0])
    with torch.inference_mode():
        (found,) = translate(graph, torch.float32)(torch.from_numpy(pixels))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_low_arithmetic_ends_where_features_are_flattened(dtype: torch.dtype) -> None:
    graph, pixels = graph_of(lambda x: projected(ops.relu(x))), numbers(2, 6, 9, 8)
    module = translate(graph, dtype)
    with torch.inference_mode():
        (found,) = module(torch.from_numpy(pixels))
        (exact,) = translate(graph, torch.float32)(torch.from_numpy(pixels))
    assert found.dtype == torch.float32
    assert {buffer.dtype for buffer in module.buffers()} == {dtype}
    error = torch.linalg.norm(found - exact) / torch.linalg.norm(exact)
    assert 0 < error < 4 * torch.finfo(dtype).eps


def test_an_unknown_operation_is_named_with_the_cure() -> None:
    with pytest.raises(ConfigError, match=r"not known: Sin; set infer\.backend to openvino"):
        translate(graph_of(ops.sin), torch.float32)


def test_another_interpolation_is_refused_rather_than_taken_for_the_known_one() -> None:
    def cubic(x: ov.Output) -> ov.Node:
        axes, sizes = np.array([2, 3]), np.array([18, 16])
        return ops.interpolate(
            x, sizes, mode="cubic", shape_calculation_mode="sizes", axes=axes
        )  # fmt: skip

    with pytest.raises(ConfigError, match="not known: Interpolate"):
        translate(graph_of(cubic), torch.float32)


def quantised_by_channel(x: ov.Output) -> ov.Node:
    """As the channels of convolutions that keep them apart are."""
    high = np.linspace(0.5, 3, 6, dtype=np.float32).reshape(1, 6, 1, 1)
    low = np.zeros_like(high)
    return ops.fake_quantize(ops.clamp(x, 0.0, 6.0), low, high, low, high, 256)


def test_levels_by_channel_are_rounded_to_in_one_pass_without_asking_the_device() -> None:
    values = numbers(2, 6, 5, 5)
    parameter = ops.parameter([-1, 6, 5, 5], np.float32)
    graph = ov.Model([ops.result(quantised_by_channel(parameter.output(0)))], [parameter])
    expected = ov.Core().compile_model(graph, "CPU")(values)[0]
    module = translate(graph, torch.float32)
    (found,) = module(torch.from_numpy(values))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    calls = [node for node in module.graph.nodes if node.op == "call_function"]
    assert len(calls) == 1
    # Of integers torch asks the device for the largest, and waits.
    assert all(stored.is_floating_point() for stored in module.buffers())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("head", [exact_score_head, map_head])
def test_on_a_gpu_all_stays_there_and_nothing_waits_for_it(head: Head, dtype: torch.dtype) -> None:
    net = get("efficientnet_lite0", "fp16")
    model = untrained(net, ["block1", "block2"], rank=3)
    joined = joined_graph(ov.Core(), net, ["block1", "block2"], head, model.fre)
    module = translate(joined, dtype)
    # Tensors without numbers, which know the rules of a device that need not be there.
    with FakeTensorMode():
        for name, stored in list(module.named_buffers(remove_duplicate=False)):
            setattr(module, name, torch.empty(stored.shape, dtype=stored.dtype, device="cuda"))
        (found,) = module(torch.empty((5, 256, 256, 3), dtype=torch.uint8, device="cuda"))
    assert found.device.type == "cuda"
    assert found.dtype == (torch.float32 if head is exact_score_head else torch.float16)
    assert len(found) == 5
