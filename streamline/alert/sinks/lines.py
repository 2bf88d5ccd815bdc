"""Files of JSON lines: alerts, verdicts, drops."""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from streamline.errors import InputError

__all__ = ["CutShortError", "JsonLines"]


class CutShortError(OSError):
    """A disk did not take all lines."""

    def __init__(self, cause: OSError, taken: int) -> None:
        super().__init__(cause.errno, cause.strerror)
        self.taken = taken
        """Lines that it took, whole."""


class JsonLines:
    """Append each event as one line to a file, each line in one write.

    Where a disk takes but a part of a line, that part is cut off again; what a killed writer has
    left half becomes a line of its own, and the next one begins fresh.  Several processes may write
    to one file.

    Raises
    ------
    InputError
        If the file can't be opened for appending.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as exc:
            msg = f"{path}: can't be written ({exc.strerror}); give another path"
            raise InputError(msg) from exc

    def deliver(self, _alert_id: str, event: bytes, /) -> None:
        """Write the event and a line break."""
        self.write([event])

    def write(self, lines: Sequence[bytes]) -> None:
        """Append lines, each without its line break.

        Raises
        ------
        CutShortError
            If not all of them can be written.
        """
        torn = _ends_within_a_line(self._fd)
        text = b"\n" * torn + b"".join(line + b"\n" for line in lines)
        written = 0
        try:
            while written < len(text):
                written += os.write(self._fd, text[written:])
        except OSError as exc:
            _cut_off(self._fd, written - text.rfind(b"\n", 0, written) - 1)
            taken = text.count(b"\n", 0, written) - (torn and written > 0)
            raise CutShortError(exc, taken) from exc

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def _cut_off(fd: int, size: int) -> None:
    """Take back the last bytes that were written, unless another has written meanwhile."""
    with suppress(OSError):
        end = os.lseek(fd, 0, os.SEEK_CUR)
        if size and os.fstat(fd).st_size == end:
            os.ftruncate(fd, end - size)


def _ends_within_a_line(fd: int) -> bool:
    """Whether the last writer was cut off."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        return False
    return os.pread(fd, 1, found.st_size - 1) != b"\n"
