"""The libraries, imported so that none fails and none tells others that it was."""

import importlib
import sys
from typing import Final

import torch

__all__ = ["torchvision"]


def _import_torchvision() -> object:
    """Import torchvision; return what must be kept for it.

    Beside a CPU build of torch it lacks its compiled operators, and its import fails because it
    describes two of them, which then have to be declared. Where they exist that would be an error.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
    schemas = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        schemas.define(schema)  # type: ignore[no-untyped-call]
    importlib.import_module("torchvision")
    return schemas


_KEPT: Final = _import_torchvision()

torchvision = importlib.import_module("torchvision")
