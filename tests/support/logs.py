"""What the code under test logs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

__all__ = ["capture_logs"]


class _Entries(StringIO):
    """Reads each line that is written to it; without the time."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[dict[str, Any]] = []

    def write(self, text: str) -> int:
        for line in text.splitlines():
            entry = json.loads(line)
            del entry["timestamp"]
            self.entries.append(entry)
        return len(text)


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """Collect what is logged while the block runs, from any thread."""
    with redirect_stderr(_Entries()) as lines:
        yield lines.entries
