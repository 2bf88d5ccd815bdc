"""What a device can do at best: multiply, move, and take from the host, measured on itself."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from streamline.infer import Compute, settle
from streamline.machine import this_machine

__all__ = ["Ceiling", "Scale", "measured_ceiling"]

_DTYPES: Final = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
_ROUNDS: Final = 3
"""The best one counts: a ceiling is what was reached once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much work a ceiling is measured with."""

    side: int
    """Rows and columns of the matrices that are multiplied."""

    moved: int
    """Bytes that are copied on the device; likewise `taken`, from the host."""

    taken: int
    seconds: float
    """Of each round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What no work on this device can surpass."""

    device: str
    """Its own name."""

    precision: str
    flops: float
    """Of a product of large matrices in that precision, 1/s."""

    bandwidth: float
    """Of its memory, read and written bytes together, B/s."""

    intake: float
    """Of copies from pinned host memory, B/s."""


def measured_ceiling(compute: Compute, scale: Scale) -> Ceiling:
    """Measure a device in one precision; in the process that will judge on it.

    Raises
    ------
    ConfigError
        If the device or the precision is not there.
    """
    compute = settle(compute)
    device = torch.device(compute.device.lower())
    with torch.inference_mode():
        return Ceiling(
            device=_name_of(device),
            precision=compute.precision,
            flops=_flops(device, _DTYPES[compute.precision], scale),
            bandwidth=_bandwidth(device, scale),
            intake=_intake(device, scale),
        )


def _name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else this_machine().cpu


def _flops(device: torch.device, dtype: torch.dtype, scale: Scale) -> float:
    left, right = (torch.randn(scale.side, scale.side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(left)
    return 2 * scale.side**3 * _rate(lambda: torch.mm(left, right, out=out), device, scale)


def _bandwidth(device: torch.device, scale: Scale) -> float:
    there = torch.zeros(scale.moved, dtype=torch.uint8, device=device)
    copy = torch.empty_like(there)
    return 2 * scale.moved * _rate(lambda: copy.copy_(there), device, scale)


def _intake(device: torch.device, scale: Scale) -> float:
    host = torch.zeros(scale.taken, dtype=torch.uint8, pin_memory=device.type == "cuda")
    there = torch.empty_like(host, device=device)
    return scale.taken * _rate(lambda: there.copy_(host, non_blocking=True), device, scale)


def _rate(work: Callable[[], Tensor], device: torch.device, scale: Scale) -> float:
    """Return how often something is done in a second, with orders given well ahead."""
    work()
    return max(_times_a_second(work, device, scale.seconds) for _ in range(_ROUNDS))


def _times_a_second(work: Callable[[], Tensor], device: torch.device, seconds: float) -> float:
    times, ahead = 0, 1
    _wait(device)
    began_s = time.perf_counter()
    while (elapsed_s := time.perf_counter() - began_s) < seconds:
        for _ in range(ahead):
            work()
        _wait(device)
        times += ahead
        # To wait costs time: ever more of it is done in between.
        ahead *= 2
    return times / elapsed_s


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
