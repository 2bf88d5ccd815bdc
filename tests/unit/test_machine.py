"""The description of this computer against what others say of it."""

import os
import platform
import subprocess
from importlib.metadata import version

import psutil
import pytest

from streamline.machine import this_machine


def test_cores_and_memory_are_what_psutil_finds() -> None:
    machine = this_machine()
    assert machine.cores == len(psutil.Process().cpu_affinity())
    assert machine.memory_gb == pytest.approx(psutil.virtual_memory().total / 1e9)


def test_the_processor_and_its_instructions_are_those_of_lscpu() -> None:
    shown = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout
    fields = dict(line.split(":", 1) for line in shown.splitlines() if ":" in line)
    flags = set(fields["Flags"].split())
    machine = this_machine()
    assert machine.cpu == fields["Model name"].strip()
    assert set(machine.instructions) <= flags
    assert {"avx2", "avx512f", "avx512_vnni"} & flags <= set(machine.instructions)


def test_the_system_and_the_versions_are_those_in_use() -> None:
    machine = this_machine()
    assert os.uname().release in machine.system
    assert machine.versions["python"] == platform.python_version()
    for package in ("streamline", "openvino", "numpy", "pyzmq"):
        assert machine.versions.get(package) == (version(package) if _is_there(package) else None)


def _is_there(package: str) -> bool:
    try:
        version(package)
    except ModuleNotFoundError:
        return False
    return True
