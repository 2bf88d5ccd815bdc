"""FRE on OpenVINO devices."""

from streamline.privacy import silence_openvino

silence_openvino()

from streamline.infer.openvino_backend.device import devices, precisions, settle  # noqa: E402
from streamline.infer.openvino_backend.requests import (  # noqa: E402
    open_extractor,
    open_mapper,
    open_scorer,
)

__all__ = [
    "devices",
    "open_extractor",
    "open_mapper",
    "open_scorer",
    "precisions",
    "settle",
]
