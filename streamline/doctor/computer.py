"""The computer itself: its processor, memory, and the devices that compute."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from streamline.config import Pipeline
from streamline.doctor.finding import Finding, fail, ok, warn
from streamline.errors import ConfigError, StreamlineError
from streamline.machine import Machine

__all__ = ["cuda", "inference", "memory", "openvino", "processor"]

_INT8: Final = ("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm")
"""Instructions that multiply 8-bit numbers in one step."""

_LEAST_MEMORY_GB: Final = 0.5
"""Free memory below which a line is likely to be killed, 10⁹ bytes."""

_INTEL: Final = "0x8086"
_TORCH: Final = (
    "import torch; there = torch.cuda.is_available(); "
    "print(torch.version.cuda, torch.cuda.device_count() if there else 0)"
)
_TIMEOUT_S: Final = 60.0


def processor(machine: Machine) -> Finding:
    """Look which instructions the processor has that networks are fast by."""
    has = ", ".join(machine.instructions) or "none of the vector instructions that are looked for"
    what = f"{machine.cpu}, {machine.cores} cores for this program, {has}"
    if not {"avx2", "asimd"} & set(machine.instructions):
        return warn(
            "processor",
            what,
            "expect a tenth of the speed: take a processor with AVX2, or let a virtual machine "
            "have its host's (cpu: host)",
        )
    if not set(_INT8) & set(machine.instructions):
        what += "; without VNNI, networks in 8 bits are slower than they could be"
    return ok("processor", what)


def memory(machine: Machine) -> Finding:
    """Look how much memory is left."""
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    available = next(line for line in lines if line.startswith("MemAvailable:"))
    free_gb = int(available.split()[1]) * 1024 / 1e9
    what = f"{free_gb:.1f} of {machine.memory_gb:.1f} GB free"
    if free_gb < _LEAST_MEMORY_GB:
        return warn("memory", what, "stop other programs, or set cameras_per_process higher")
    return ok("memory", what)


def openvino() -> Finding:
    """List the devices that OpenVINO finds."""
    try:
        from streamline.infer.openvino_backend import devices  # noqa: PLC0415 - may be broken

        found = devices()
    except (ImportError, RuntimeError) as exc:
        return fail(
            "openvino",
            f"OpenVINO can't be loaded: {exc}",
            "pip install --force-reinstall openvino",
        )
    what = ", ".join(f"{name} ({full})" for name, full in found.items())
    if _has_intel_graphics() and not any(name.startswith("GPU") for name in found):
        return warn(
            "openvino",
            f"{what}; there are Intel graphics that OpenVINO can't use",
            "to compute on them install intel-opencl-icd and join the group render: "
            "sudo usermod -aG render $USER",
        )
    return ok("openvino", what)


def _has_intel_graphics() -> bool:
    vendors = Path("/sys/class/drm").glob("renderD*/device/vendor")
    return any(vendor.read_text("ascii").strip() == _INTEL for vendor in vendors)


def cuda() -> Iterator[Finding]:
    """Look for NVIDIA's devices and, in a process of its own, whether torch can use them."""
    program = shutil.which("nvidia-smi")
    if program is None:
        yield ok("cuda", "no NVIDIA driver; it is needed for infer.backend: torch on a GPU only")
        return
    query = "--query-gpu=name,memory.total,driver_version"
    told = _output(program, query, "--format=csv,noheader")
    yield (
        ok("cuda", "; ".join(told.splitlines()))
        if told
        else warn("cuda", "nvidia-smi finds no device", "look at dmesg for NVRM, reload the driver")
    )
    if told:
        yield _torch()


def _torch() -> Finding:
    try:
        number = version("torch")
    except PackageNotFoundError:
        cure = "to compute on CUDA, in the checkout: pip install '.[torch]'"
        return ok("torch", f"not installed; {cure}")
    built, _, devices = _output(sys.executable, "-c", _TORCH).partition(" ")
    if devices in {"", "0"}:
        return warn(
            "torch",
            f"torch {number} (built for CUDA: {built or 'unknown'}) can't use the NVIDIA device",
            "install the build of torch for CUDA, or a driver that is new enough for it",
        )
    return ok("torch", f"torch {number}, CUDA {built}, devices: {devices}")


_FIT_AGAIN: Final = "fit the model again: streamline fit SOURCE --out MODEL --force"


def inference(pipeline: Pipeline) -> Iterator[Finding]:
    """Look whether a line's models can run where it says."""
    from streamline.infer import settle, threshold_doubt  # noqa: PLC0415 - loads no backend itself
    from streamline.infer.configured import compute_of  # noqa: PLC0415
    from streamline.model import load_model  # noqa: PLC0415

    infer = pipeline.infer
    for device in infer.all_devices:
        try:
            settled = settle(compute_of(infer, device))
        except ConfigError as exc:
            key = "infer.devices" if infer.devices else "infer.device"
            yield fail("inference", f"{pipeline.where(key)}: {exc}", f"change {key}")
            return
        yield ok("inference", f"{settled.backend} on {settled.device} in {settled.precision}")
    for path in dict.fromkeys(camera.model.path for camera in pipeline.cameras.values()):
        if not (path / "manifest.json").exists():
            continue  # What is missing is told elsewhere.
        try:
            doubt = threshold_doubt(load_model(path), compute_of(infer))
        except StreamlineError as exc:
            # It says itself, last, what to do.
            what, _, remedy = str(exc).rpartition("; ")
            yield fail("model", what or remedy, remedy if what else _FIT_AGAIN)
            continue
        name = f"model {path.name}"
        remedy = "fit the model on this computer for a threshold that is exact"
        yield warn(name, doubt, remedy) if doubt else ok(name, str(path))


def _output(program: str, *arguments: str) -> str:
    """Return what a program prints; nothing if it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - nvidia-smi and this very Python
            [program, *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
