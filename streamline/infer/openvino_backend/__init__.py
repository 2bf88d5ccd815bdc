"""FRE on OpenVINO devices."""

import sys
from types import ModuleType

# On import, openvino reports its use to a web service through this package. A module without
# content in its place makes openvino take its own stub, and nothing is ever sent or written.
sys.modules.setdefault("openvino_telemetry", ModuleType("openvino_telemetry"))

from streamline.infer.openvino_backend.requests import (  # noqa: E402
    open_extractor,
    open_mapper,
    open_scorer,
)

__all__ = ["open_extractor", "open_mapper", "open_scorer"]
