"""Which OpenVINO device runs a graph, and in what arithmetic."""

from pathlib import Path

import openvino as ov

from streamline.errors import ConfigError
from streamline.infer.protocol import Compute, Precision

__all__ = ["compile_graph", "precisions"]

_VIRTUAL = {"AUTO", "MULTI", "HETERO", "BATCH"}
"""Devices that choose among the real ones."""


def compile_graph(
    core: ov.Core, graph: ov.Model, compute: Compute, *, kept: Path | None
) -> ov.CompiledModel:
    """Compile a graph for the device that `compute` names.

    Parameters
    ----------
    kept : Path, optional
        Folder where it may lie compiled already, or be put.

    Raises
    ------
    ConfigError
        If the device is not there, lacks the precision, or refuses the graph.
    """
    _require_device(core, compute.device)
    properties: dict[str, str | int] = {"PERFORMANCE_HINT": compute.hint.upper()}
    precision = _precision(core, compute)
    if precision is not None:
        properties["INFERENCE_PRECISION_HINT"] = precision
    if compute.streams is not None:
        properties["NUM_STREAMS"] = compute.streams
    if compute.threads is not None:
        properties["INFERENCE_NUM_THREADS"] = compute.threads
    if kept is not None:
        properties["CACHE_DIR"] = str(kept)
    try:
        return core.compile_model(graph, compute.device, properties)
    except RuntimeError as exc:
        reason = str(exc).strip().splitlines()[-1].strip()
        msg = f"OpenVINO can't compile the model for device {compute.device!r}: {reason}"
        raise ConfigError(msg) from exc


def precisions(compute: Compute) -> tuple[Precision, ...]:
    """See `streamline.infer.precisions`."""
    core = ov.Core()
    _require_device(core, compute.device)
    if compute.device != "CPU":
        return ("auto",)
    return ("f32", "bf16") if _has_bf16(core) else ("f32",)


def _has_bf16(core: ov.Core) -> bool:
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _require_device(core: ov.Core, device: str) -> None:
    kind, _, listed = device.partition(":")
    present = core.available_devices
    wanted = [kind] if kind not in _VIRTUAL else [one for one in listed.split(",") if one]
    for one in wanted:
        # A bare family such as GPU means its first device, listed as GPU or as GPU.0.
        if not any(one in (there, there.partition(".")[0]) for there in present):
            msg = (
                f"OpenVINO finds no device {one!r} on this machine, it has "
                f"{', '.join(present) or 'none'}; set infer.device to one of them"
            )
            raise ConfigError(msg)


def _precision(core: ov.Core, compute: Compute) -> str | None:
    """Name the precision to ask for; None leaves it to a device that is no CPU."""
    if compute.device != "CPU":
        return None if compute.precision == "auto" else compute.precision
    if compute.precision == "auto":
        return "bf16" if _has_bf16(core) else "f32"
    if compute.precision == "bf16" and not _has_bf16(core):
        msg = "this CPU has no bf16 arithmetic; set infer.precision to auto or f32"
        raise ConfigError(msg)
    return compute.precision
