"""The computer that this is, and the versions of what figures and scores hang on."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

__all__ = ["Machine", "this_machine"]

_INSTRUCTIONS: Final = (
    "sse4_2", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip
"""As the kernel names those that a network's speed hangs on, of x86 and of ARM."""

_PACKAGES: Final = (
    "streamline", "openvino", "numpy", "opencv-python-headless", "opencv-python", "av", "pyzmq",
    "torch",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Hardware, system and versions."""

    cpu: str
    """The processor's name, as it gives it."""

    cores: int
    """Processors that this program may use."""

    instructions: tuple[str, ...]
    """Those of its instruction sets that a network's speed hangs on."""

    memory_gb: float
    """10⁹ bytes."""

    system: str
    """Distribution and kernel."""

    versions: Mapping[str, str]
    """Of Python and of those packages that are installed."""


def this_machine() -> Machine:
    """Describe the computer that this program runs on."""
    facts = _fields(Path("/proc/cpuinfo"))
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    memory_kib = int(_fields(Path("/proc/meminfo"))["MemTotal"].split()[0])
    return Machine(
        cpu=facts.get("model name") or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        instructions=tuple(name for name in _INSTRUCTIONS if name in flags),
        memory_gb=memory_kib * 1024 / 1e9,
        system=f"{_distribution()}, {platform.system()} {platform.release()}",
        versions={"python": platform.python_version(), **_versions()},
    )


def _fields(path: Path) -> dict[str, str]:
    """Read lines such as ``name : value``; of equal names the first one counts."""
    fields: dict[str, str] = {}
    for line in path.read_text(errors="replace").splitlines():
        name, separator, value = line.partition(":")
        if separator:
            fields.setdefault(name.strip(), value.strip())
    return fields


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unnamed distribution")
    except OSError:
        return "unnamed distribution"


def _versions() -> dict[str, str]:
    """Look up what is installed, without loading any of it."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
