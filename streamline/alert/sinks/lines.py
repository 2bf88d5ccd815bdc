"""Files of JSON lines: alerts, verdicts, drops."""

import os
import stat
from pathlib import Path

from streamline.errors import InputError

__all__ = ["JsonLines"]


class JsonLines:
    """Append each event as one line to a file, each line in one write.

    Where a disk takes but a part of what is written, that part becomes a line of its own: the
    next event begins on a fresh one.

    Raises
    ------
    InputError
        If the file can't be opened for appending.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            self._torn = _ends_within_a_line(self._fd)
        except OSError as exc:
            msg = f"{path}: can't be written ({exc.strerror}); give another path"
            raise InputError(msg) from exc

    def deliver(self, _alert_id: str, event: bytes, /) -> None:
        """Write the event and a line break."""
        self.write(event + b"\n")

    def write(self, lines: bytes) -> None:
        """Append whole lines."""
        view = memoryview(b"\n" + lines if self._torn else lines)
        whole = len(view)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        finally:
            if len(view) < whole:
                self._torn = bool(view)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def _ends_within_a_line(fd: int) -> bool:
    """Whether the last writer was cut off."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        return False
    return os.pread(fd, 1, found.st_size - 1) != b"\n"
