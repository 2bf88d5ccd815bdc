"""Pictures to model input: region, scale, colour."""

from importlib import import_module
from typing import TYPE_CHECKING

from streamline.preprocess.version import PREPROCESSING

if TYPE_CHECKING:
    from streamline.preprocess.scale import prepare

__all__ = ["PREPROCESSING", "prepare"]


def __getattr__(name: str) -> object:
    """Import `prepare` when it is first used: OpenCV takes its time."""
    if name != "prepare":
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return import_module("streamline.preprocess.scale").prepare
