"""Files of JSON lines: alerts, verdicts, drops."""

import fcntl
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from streamline.errors import InputError

__all__ = ["CutShortError", "JsonLines"]

_TRIES: Final = 200
_PAUSE_S: Final = 0.001
"""A process that was stopped while it wrote must not stop those that write to the same file."""


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
        with _alone(self._fd) as alone:
            # A line that another is writing just now looks like one that was cut off.
            torn = alone and _ends_within_a_line(self._fd)
            text = b"\n" * torn + b"".join(line + b"\n" for line in lines)
            written = 0
            try:
                while written < len(text):
                    written += os.write(self._fd, text[written:])
            except OSError as exc:
                if alone:
                    _cut_off(self._fd, written - text.rfind(b"\n", 0, written) - 1)
                taken = text.count(b"\n", 0, written) - (torn and written > 0)
                raise CutShortError(exc, taken) from exc

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def _cut_off(fd: int, size: int) -> None:
    """Take back the last bytes that were written, unless another did not wait and wrote behind."""
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


@contextmanager
def _alone(fd: int) -> Iterator[bool]:
    """Keep the others from writing meanwhile; false if one of them does not let go."""
    held = False
    with suppress(OSError):  # Not every file can be locked.
        for _ in range(_TRIES):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held = True
                break
            except BlockingIOError:
                time.sleep(_PAUSE_S)
    try:
        yield held
    finally:
        if held:
            fcntl.flock(fd, fcntl.LOCK_UN)
