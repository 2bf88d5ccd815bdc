"""Which device torch runs a graph on, and in what arithmetic."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import torch

from streamline.errors import ConfigError
from streamline.infer.protocol import Compute, Precision
from streamline.machine import this_machine

__all__ = ["device_of", "dtype_of", "precisions", "settle"]

_DTYPES: Final[Mapping[Precision, torch.dtype]] = {
    "f32": torch.float32,
    "bf16": torch.bfloat16,
    "f16": torch.float16,
}

_BF16_OF_CPUS: Final = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Instructions by which a CPU computes in it."""


def settle(compute: Compute, *, stored: str = "int8") -> Compute:
    """See `streamline.infer.settle`; AUTO is the first CUDA device if there is one."""
    name = compute.device.lower()
    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = "cuda:0"
    _require_device(name)
    device = name.upper() if name == "cpu" else name
    return replace(compute, device=device, precision=_precision(name, compute.precision, stored))


def precisions(compute: Compute) -> tuple[Precision, ...]:
    """See `streamline.infer.precisions`; none that a CPU has to imitate, which it can if asked."""
    device = settle(replace(compute, precision="auto")).device.lower()
    if device == "cpu" and _BF16_OF_CPUS.isdisjoint(this_machine().instructions):
        return ("f32",)
    return _precisions(device)


def device_of(compute: Compute) -> torch.device:
    """Return torch's name of a settled device."""
    return torch.device(compute.device.lower())


def dtype_of(compute: Compute) -> torch.dtype:
    """Return torch's name of a settled precision."""
    return _DTYPES[compute.precision]


def _require_device(name: str) -> None:
    if name == "cpu":
        return
    kind, _, index = name.partition(":")
    if kind != "cuda" or not index.isdigit():
        msg = f"torch knows no device {name!r}; choose CPU, cuda, cuda:1 or AUTO"
        raise ConfigError(msg)
    if why := _no_cuda():
        msg = f"torch finds no device {name!r} on this machine: {why}; or choose CPU"
        raise ConfigError(msg)
    present = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if name not in present:
        msg = f"torch finds no device {name!r} on this machine, it has {', '.join(present)}; "
        raise ConfigError(msg + "choose one of them")


def _no_cuda() -> str:
    """Say why CUDA can't be used, nothing if it can."""
    if torch.version.cuda is None:
        return "it is built without CUDA (install the build of pytorch.org for your driver)"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as exc:
        return str(exc).strip().splitlines()[0].rstrip(".")
    return "" if torch.cuda.device_count() else "no GPU is visible to this process"


def _precisions(device: str) -> tuple[Precision, ...]:
    if device == "cpu":
        return ("f32", "bf16")
    # Older devices have it in software only.
    has_bf16 = torch.cuda.get_device_capability(device)[0] >= 8
    return ("f32", "bf16", "f16") if has_bf16 else ("f32", "f16")


def _precision(device: str, wanted: Precision, stored: str) -> Precision:
    able = _precisions(device)
    if wanted == "auto":
        # On a CPU without instructions for it bf16 is slower than single precision. On a GPU f16
        # is as fast and eight times finer; a frame that overflows it has no score and is unknown.
        if stored == "f32" or device == "cpu":
            return "f32"
        return "f16"
    if wanted not in able:
        msg = f"device {device!r} has no {wanted} arithmetic with torch; set the precision to auto"
        raise ConfigError(msg)
    return wanted
