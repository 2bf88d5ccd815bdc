"""Keeps libraries from telling others that they are used."""

import sys
from types import ModuleType

__all__ = ["silence_openvino"]


def silence_openvino() -> None:
    """Make OpenVINO and NNCF report nothing; to be called before the first import of either.

    On import both report their use to a web service through a package of its own. A module
    without content in its place makes them take their own stubs: nothing is ever sent or written.
    """
    sys.modules.setdefault("openvino_telemetry", ModuleType("openvino_telemetry"))
