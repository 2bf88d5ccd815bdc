"""Which OpenVINO device runs a graph, and in what arithmetic."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from streamline.errors import ConfigError
from streamline.infer.openvino_backend.signals import own_signal_stack
from streamline.infer.protocol import Compute, Precision

__all__ = ["compile_graph", "devices", "has_fixed_batch", "precisions", "settle"]

_CHOOSING: Final = "AUTO"
"""The device that chooses among those present, or among those that are listed after it."""

_NAMES: Final[Mapping[Precision, str]] = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}
"""Arithmetic, as devices list what they are capable of."""


@own_signal_stack()
def settle(compute: Compute, *, stored: str = "int8") -> Compute:
    """See `streamline.infer.settle`."""
    core = ov.Core()
    _require_device(core, compute.device)
    device = compute.device
    if device.partition(":")[0] == _CHOOSING:
        device = _chosen(core, device)
    precision = _precision(core, device, compute.precision, stored)
    return replace(compute, device=device, precision=precision)


@own_signal_stack()
def devices() -> dict[str, str]:
    """Return the devices that are present, by what OpenVINO calls them, with their full names."""
    core = ov.Core()
    return {one: str(core.get_property(one, "FULL_DEVICE_NAME")) for one in core.available_devices}


def has_fixed_batch(compute: Compute) -> bool:
    """Tell whether graphs have to be compiled for full batches only.

    NPUs take no others, and GPUs build their kernels anew for each size.
    """
    return compute.device != "CPU" if compute.fixed_batch is None else compute.fixed_batch


@own_signal_stack()
def compile_graph(
    core: ov.Core, graph: ov.Model, compute: Compute, *, kept: Path | None
) -> ov.CompiledModel:
    """Compile a graph for the device that `compute` names.

    Parameters
    ----------
    compute : Compute
        Settled.
    kept : Path, optional
        Folder where it may lie compiled already, or be put.

    Raises
    ------
    ConfigError
        If the device refuses the graph.
    """
    properties: dict[str, str | int] = {
        "PERFORMANCE_HINT": compute.hint.upper(),
        "INFERENCE_PRECISION_HINT": compute.precision,
    }
    if compute.streams is not None:
        properties["NUM_STREAMS"] = compute.streams
    if compute.device == "CPU":
        # Some processors would round the features to 8 bits as well, each in its own way.
        properties["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = 0
        if compute.threads is not None:
            properties["INFERENCE_NUM_THREADS"] = compute.threads
    if kept is not None:
        properties["CACHE_DIR"] = str(kept)
    if has_fixed_batch(compute):
        shapes = {port: [compute.max_batch, *port.partial_shape[1:]] for port in graph.inputs}
        graph.reshape(shapes)
    try:
        return core.compile_model(graph, compute.device, properties)
    except RuntimeError as exc:
        reason = str(exc).strip().splitlines()[-1].strip()
        msg = f"OpenVINO can't compile the model for device {compute.device!r}: {reason}"
        raise ConfigError(msg) from exc


@own_signal_stack()
def precisions(compute: Compute) -> tuple[Precision, ...]:
    """See `streamline.infer.precisions`."""
    core = ov.Core()
    able = core.get_property(settle(compute).device, "OPTIMIZATION_CAPABILITIES")
    return tuple(one for one in _NAMES if _NAMES[one] in able)


def _require_device(core: ov.Core, device: str) -> None:
    kind, _, listed = device.partition(":")
    present = core.available_devices
    wanted = [kind] if kind != _CHOOSING else [one for one in listed.split(",") if one]
    for one in wanted:
        # A bare family such as GPU means its first device, listed as GPU or as GPU.0.
        if not any(one in (there, there.partition(".")[0]) for there in present):
            msg = (
                f"OpenVINO finds no device {one!r} on this machine, it has "
                f"{', '.join(present) or 'none'}; choose one of them"
            )
            raise ConfigError(msg)


def _chosen(core: ov.Core, device: str) -> str:
    """Ask which device it chooses, with a graph that costs nothing.

    Left to itself it begins on the CPU while another device still compiles, and changes over in
    mid-run: scores would change with it.
    """
    values = ops.parameter([1, 1], np.float32)
    graph = ov.Model([ops.result(ops.relu(values))], [values])
    try:
        compiled = core.compile_model(graph, device, {"ENABLE_STARTUP_FALLBACK": False})
        return str(compiled.get_property("EXECUTION_DEVICES")[0])
    except RuntimeError as exc:
        reason = str(exc).strip().splitlines()[-1].strip()
        msg = f"OpenVINO can't choose a device for {device!r}: {reason}"
        raise ConfigError(msg) from exc


def _precision(core: ov.Core, device: str, wanted: Precision, stored: str) -> Precision:
    able = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    if wanted == "auto":
        half: Precision = "bf16" if device == "CPU" else "f16"
        # An 8-bit network gains up to a tenth from the rest in bf16 (2 cores of Zen 5, batches of
        # 1, 4, 8: 564, 667, 658 frames a second, else 562, 625, 605), and scores move by 4 %.
        wants_half = stored == "fp16" or (stored == "int8" and device != "CPU")
        order: tuple[Precision, ...] = (half, "f32") if wants_half else ("f32", half)
        return next((one for one in order if _NAMES[one] in able), "f32")
    if _NAMES[wanted] not in able:
        msg = f"device {device!r} has no {wanted} arithmetic here; set the precision to auto"
        raise ConfigError(msg)
    return wanted
