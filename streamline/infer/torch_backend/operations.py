"""The operations of OpenVINO's graphs in torch, by their names in its operation set."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "LINEAR",
    "OPERATIONS",
    "STATIC",
    "convolution",
    "grouped_convolution",
    "product",
    "quantised_alike",
    "quantised_by_channel",
]

Sizes = list[int]


def convolution(  # noqa: PLR0913 - its attributes
    pixels: Tensor,
    weights: Tensor,
    bias: Tensor | None = None,
    *,
    strides: Sizes,
    dilations: Sizes,
    pads_begin: Sizes,
    pads_end: Sizes,
    groups: int = 1,
    **_: object,
) -> Tensor:
    """Convolve in the arithmetic of the weights, of shape ``(out, in / groups, h, w)``."""
    pixels, padding = _padded(pixels.to(weights.dtype), pads_begin, pads_end)
    return functional.conv2d(
        pixels, weights, bias, tuple(strides), padding, tuple(dilations), groups
    )


def grouped_convolution(weights: Tensor) -> tuple[Tensor, int]:
    """Turn weights of shape ``(groups, out, in, h, w)`` into torch's, and count the groups."""
    return weights.flatten(0, 1), weights.shape[0]


def _padded(
    pixels: Tensor, begin: Sizes, end: Sizes, value: float = 0.0
) -> tuple[Tensor, tuple[int, ...]]:
    """Pad what torch can't pad by itself, and tell what it can."""
    if tuple(begin) == tuple(end):
        return pixels, tuple(begin)
    sides = (begin[1], end[1], begin[0], end[0])
    return functional.pad(pixels, sides, value=value), (0, 0)


def _largest(  # noqa: PLR0913 - its attributes
    pixels: Tensor,
    *,
    kernel: Sizes,
    strides: Sizes,
    dilations: Sizes,
    pads_begin: Sizes,
    pads_end: Sizes,
    rounding_type: str,
    **_: object,
) -> Tensor:
    pixels, padding = _padded(pixels, pads_begin, pads_end, -torch.inf)
    largest: Tensor = functional.max_pool2d(
        pixels, kernel, strides, padding, dilations, ceil_mode=rounding_type == "ceil"
    )
    return largest


def _mean_of_squares(
    pixels: Tensor,
    *,
    kernel: Sizes,
    strides: Sizes,
    pads_begin: Sizes,
    rounding_type: str,
    exclude_pad: bool,
    **_: object,
) -> Tensor:
    return functional.avg_pool2d(
        pixels,
        kernel,
        strides,
        tuple(pads_begin),
        ceil_mode=rounding_type == "ceil",
        count_include_pad=not exclude_pad,
    )


def product(left: Tensor, right: Tensor, *, transpose_a: bool, transpose_b: bool) -> Tensor:
    """Multiply matrices in the arithmetic of the right one; the result is in f32."""
    left = left.to(right.dtype)
    if transpose_a:
        left = left.mT
    if transpose_b:
        right = right.mT
    if left.is_cuda and left.dtype != torch.float32:
        # Sums over a hundred thousand features, which half precision would round away.
        return torch.mm(left, right, out_dtype=torch.float32)
    return torch.matmul(left, right).float()


def _quantised(
    values: Tensor,
    low: Tensor,
    high: Tensor,
    low_out: Tensor,
    high_out: Tensor,
    *,
    levels: int,
    **_: object,
) -> Tensor:
    """Round to so many levels between limits, as 8-bit arithmetic does."""
    share = (values.float().clamp(low, high) - low) / (high - low)
    steps = torch.round(share * (levels - 1)) / (levels - 1)
    return (steps * (high_out - low_out) + low_out).to(values.dtype)


def quantised_alike(values: Tensor, scale: float, zero: int, *, levels: int, **_: object) -> Tensor:
    """Round to so many levels, one of which is 0, in a single pass over the values.

    They must be finite: what goes in comes of others that were rounded between limits.
    """
    return torch.fake_quantize_per_tensor_affine(values, scale, zero, 0, levels - 1)


def quantised_by_channel(
    values: Tensor, scales: Tensor, zeros: Tensor, *, levels: int, **_: object
) -> Tensor:
    """Do the same to each channel with levels of its own."""
    return torch.fake_quantize_per_channel_affine(values, scales, zeros, 1, 0, levels - 1)


def _reshaped(values: Tensor, shape: Sizes, *, special_zero: bool) -> Tensor:
    zeros = special_zero and 0 in shape
    return values.reshape(
        [values.shape[i] if size == 0 and zeros else size for i, size in enumerate(shape)]
    )


def _resized(values: Tensor, sizes: Sizes, _: Sizes, **__: object) -> Tensor:
    return functional.interpolate(values, tuple(sizes), mode="bilinear", align_corners=False)


def _swish(values: Tensor, beta: Tensor | None = None) -> Tensor:
    return functional.silu(values) if beta is None else values * torch.sigmoid(values * beta)


_TYPES: Final[Mapping[str, torch.dtype]] = {
    "f32": torch.float32,
    "f16": torch.float16,
    "i32": torch.int32,
    "i64": torch.int64,
    "i8": torch.int8,
    "u8": torch.uint8,
}


def _converted(values: Tensor, *, destination_type: str) -> Tensor:
    return values.to(_TYPES[destination_type])


LINEAR: Final[Mapping[str, object]] = {
    "mode": "linear_onnx",
    "shape_calculation_mode": "sizes",
    "coordinate_transformation_mode": "half_pixel",
    "antialias": False,
}
"""The only interpolation that is known here, by its attributes."""

OPERATIONS: Final[Mapping[str, Callable[..., Tensor]]] = {
    "Add": lambda left, right, **_: left + right,
    "AvgPool": _mean_of_squares,
    "Clamp": lambda values, **limits: values.clamp(limits["min"], limits["max"]),
    "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "Convert": _converted,
    "Convolution": convolution,
    "Divide": lambda left, right, **_: left / right,
    "Exp": torch.exp,
    "FakeQuantize": _quantised,
    "HSigmoid": functional.hardsigmoid,
    "HSwish": functional.hardswish,
    "Interpolate": _resized,
    "Log": torch.log,
    "MatMul": product,
    "Maximum": lambda left, right, **_: torch.maximum(left, right),
    "MaxPool": _largest,
    "Multiply": lambda left, right, **_: left * right,
    "ReduceMean": lambda values, axes, *, keep_dims: values.mean(axes, keep_dims),
    "ReduceSum": lambda values, axes, *, keep_dims: values.sum(axes, keep_dims),
    "Relu": functional.relu,
    "Reshape": _reshaped,
    "Sigmoid": torch.sigmoid,
    "Squeeze": lambda values, axes, **_: values.squeeze(tuple(axes)),
    "Subtract": lambda left, right, **_: left - right,
    "Swish": _swish,
    "Transpose": lambda values, order: values.permute(tuple(order)),
    "Unsqueeze": lambda values, axes, **_: reduce(torch.unsqueeze, axes, values),
}
"""What each makes of its inputs and, by name, of its attributes."""

STATIC: Final[Mapping[str, int]] = {
    "Interpolate": 2,
    "ReduceMean": 1,
    "ReduceSum": 1,
    "Reshape": 1,
    "Squeeze": 1,
    "Transpose": 1,
    "Unsqueeze": 1,
}
"""How many of its last inputs are constants that say where or what shape, not values."""
