"""What is installed: versions, packages that exclude one another, what a pipeline asks for."""

import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final

from streamline import __version__
from streamline.config import MqttSink, Pipeline
from streamline.doctor.finding import Finding, fail, ok, warn
from streamline.machine import Machine

__all__ = ["extras", "installed_opencv", "opencv", "telemetry", "versions"]

_OPENCV: Final = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
"""Packages that install the same files."""


def versions(machine: Machine) -> Finding:
    """Name what scores and figures hang on."""
    # A checkout that is not installed has no version among the packages.
    known = {"streamline": __version__, **machine.versions}
    packages = ", ".join(f"{name} {number}" for name, number in known.items())
    return ok("versions", f"{packages}; {machine.system}")


def installed_opencv() -> dict[str, str]:
    """Return those packages of OpenCV that are installed, with their versions."""
    found = {}
    for package in _OPENCV:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def opencv(installed: Mapping[str, str]) -> Finding:
    """Look whether one OpenCV is installed, and whether it can be loaded.

    Parameters
    ----------
    installed : mapping of str to str
        Versions by package, as `installed_opencv` finds them.
    """
    names = ", ".join(f"{name} {number}" for name, number in installed.items())
    if len(installed) > 1:
        return warn(
            "opencv",
            f"{names} are both installed, and each overwrites files of the other",
            f"pip uninstall -y {' '.join(installed)} && pip install opencv-python-headless",
        )
    try:
        import streamline.source.usb  # noqa: F401, PLC0415 - what it loads may be broken
    except ImportError as exc:
        return fail(
            "opencv",
            f"{names or 'OpenCV'} can't be loaded: {exc}",
            "pip install --force-reinstall opencv-python-headless",
        )
    return ok("opencv", names)


def telemetry() -> Finding:
    """Look whether OpenVINO's reports of its use are kept from being sent.

    To be called once OpenVINO has been loaded, if it can be.
    """
    module = sys.modules.get("openvino_telemetry")
    if getattr(module, "__file__", None) is not None:
        return warn(
            "telemetry",
            "openvino-telemetry has been loaded and may report that OpenVINO is used",
            "pip uninstall -y openvino-telemetry",
        )
    return ok("telemetry", "off: openvino-telemetry is not loaded")


def extras(pipeline: Pipeline) -> Iterator[Finding]:
    """Look whether the libraries are there that a pipeline asks for, without loading them."""
    wanted = [("mqtt", "paho")] if _has_mqtt(pipeline) else []
    wanted += [("modbus", "pymodbus")] if pipeline.alert.plc is not None else []
    wanted += [("torch", "torch")] if pipeline.infer.backend == "torch" else []
    for extra, module in wanted:
        if find_spec(module) is None:
            yield fail(
                "packages",
                f"{pipeline.where(_WHERE[extra])} needs {module}, which is not installed",
                f"in the checkout: pip install '.[{extra}]'",
            )
        else:
            yield ok("packages", f"{module} is installed")


_WHERE: Final = {"mqtt": "alert.sinks", "modbus": "alert.plc", "torch": "infer.backend"}


def _has_mqtt(pipeline: Pipeline) -> bool:
    return any(isinstance(sink, MqttSink) for sink in pipeline.alert.sinks)
