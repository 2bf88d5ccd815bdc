"""Why a worker could not go on: left in the line's folder, for its supervisor to read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from streamline.errors import ConfigError, InputError, LineError, StreamlineError

__all__ = ["leave_failure", "read_failure"]

_KINDS: Final[Mapping[str, type[ConfigError | InputError | LineError]]] = {
    "config": ConfigError,
    "input": InputError,
    "line": LineError,
}
"""What may be told, the most exact first: it decides the exit status, and how it is printed."""


def leave_failure(error: StreamlineError, path: Path) -> None:
    """Write down what ended a worker."""
    kind = next((name for name, kind in _KINDS.items() if isinstance(error, kind)), "line")
    path.write_text(json.dumps({"kind": kind, "message": str(error)}))


def read_failure(path: Path) -> StreamlineError | None:
    """Return what ended a worker; None if it left no word, or no disk took it whole."""
    if not path.exists():
        return None
    try:
        left: Mapping[str, str] = json.loads(path.read_text())
        return _KINDS[left["kind"]](left["message"])
    except (ValueError, KeyError, TypeError):
        return None
