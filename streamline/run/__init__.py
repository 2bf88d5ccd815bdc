"""A line in operation: its workers, what they run, and who looks after them."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from streamline.run.supervision.line import run_line
    from streamline.run.supervision.report import CameraReport, Report

__all__ = ["CameraReport", "Report", "run_line"]

# What is needed first of a line must not wait until all of it is imported.
_HOMES: Final = {
    "CameraReport": "supervision.report",
    "Report": "supervision.report",
    "run_line": "supervision.line",
}


def __getattr__(name: str) -> object:
    """Import a name of this package when it is first used."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
