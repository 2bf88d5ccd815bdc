"""The same graphs on torch: NVIDIA GPUs, and any CPU."""

from streamline.privacy import silence_openvino

# Its graphs are read with OpenVINO's own reader.
silence_openvino()

from streamline.infer.torch_backend.device import precisions, settle  # noqa: E402
from streamline.infer.torch_backend.requests import (  # noqa: E402
    open_extractor,
    open_mapper,
    open_scorer,
)

__all__ = ["open_extractor", "open_mapper", "open_scorer", "precisions", "settle"]
