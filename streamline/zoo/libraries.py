"""torchvision as it comes from PyPI, importable beside a torch that is for processors only."""

import importlib
import sys
from typing import Final

import torch

__all__ = ["import_torchvision"]

_DECLARED: Final[list[object]] = []
"""Declarations live as long as what holds them."""


def import_torchvision() -> None:
    """Import torchvision, so that after this anybody can.

    Beside a CPU build of torch it lacks its compiled operators, and its import fails because it
    describes two of them, which then have to be declared. Where they exist that would be an error.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        schemas = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for operator in ("nms", "qnms"):
            schema = f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            schemas.define(schema)  # type: ignore[no-untyped-call]
        _DECLARED.append(schemas)
        importlib.import_module("torchvision")
