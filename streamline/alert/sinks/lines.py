"""Files of JSON lines: alerts, verdicts, drops."""

import errno
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

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What a disk has taken by then it keeps."""

_NO_SYNC: Final = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}


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
    to one file.  It may be renamed or removed, and its disk be gone for a while: lines go to the
    file that has the path now, which is made where there is none.

    Raises
    ------
    InputError
        If the file can't be opened for appending.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = _opened(path)
        self._is_lost = False
        """Whether a file that had the path before may not have kept all that it was given."""

    def deliver(self, _alert_id: str, event: bytes, /) -> None:
        """Write the event and a line break."""
        self.write([event])

    def settle(self) -> None:
        """Wait until what was written is on the disk: it is not told again."""
        lost, self._is_lost = self._is_lost, False
        if lost or self._fd is None:
            raise CutShortError(OSError(errno.EBADF, "what was written last is lost"), 0)
        with self._broken_closed():
            _sync(self._fd)

    def write(self, lines: Sequence[bytes]) -> None:
        """Append lines, each without its line break; until `settle` a power cut may take them.

        Raises
        ------
        CutShortError
            If not all of them can be written.
        InputError
            If there is another file now, or none, and it can't be opened for appending.
        """
        fd = self._current()
        with self._broken_closed():
            _write(fd, lines)

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @contextmanager
    def _broken_closed(self) -> Iterator[None]:
        """Let go of a descriptor that fails: it may be it alone, of a disk that was gone."""
        try:
            yield
        except OSError as exc:
            if exc.errno not in _FULL:
                with suppress(OSError):
                    self.close()
            raise

    def _current(self) -> int:
        """Return a descriptor of the file that has the path now."""
        if self._fd is not None and not _is_at(self._path, self._fd):
            self._leave(self._fd)
        if self._fd is None:
            self._fd = _opened(self._path)
        return self._fd

    def _leave(self, fd: int) -> None:
        """Let go of a file that another has followed; what it has may not be settled yet."""
        try:
            _sync(fd)
        except OSError:
            self._is_lost = True
        with suppress(OSError):
            self.close()


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    except OSError as exc:
        msg = f"{path}: can't be written ({exc.strerror}); give another path"
        raise InputError(msg) from exc


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except OSError:
        return False


def _write(fd: int, lines: Sequence[bytes]) -> None:
    with _alone(fd) as alone:
        # A line that another is writing just now looks like one that was cut off.
        torn = alone and _ends_within_a_line(fd)
        text = b"\n" * torn + b"".join(line + b"\n" for line in lines)
        written = 0
        try:
            while written < len(text):
                written += os.write(fd, text[written:])
        except OSError as exc:
            if alone:
                _cut_off(fd, written - text.rfind(b"\n", 0, written) - 1)
            taken = text.count(b"\n", 0, written) - (torn and written > 0)
            raise CutShortError(exc, taken) from exc


def _sync(fd: int) -> None:
    """Wait until a disk has what was written; a pipe has it at once, and some disks can't say."""
    if stat.S_ISREG(os.fstat(fd).st_mode):
        try:
            os.fdatasync(fd)
        except OSError as exc:
            if exc.errno not in _NO_SYNC:
                raise


def _cut_off(fd: int, size: int) -> None:
    """Take back the last bytes that were written, unless another did not wait and wrote behind."""
    with suppress(OSError):
        end = os.lseek(fd, 0, os.SEEK_CUR)
        if size and os.fstat(fd).st_size == end:
            os.ftruncate(fd, end - size)


def _ends_within_a_line(fd: int) -> bool:
    """Whether the last writer was cut off."""
    with suppress(OSError):  # Whoever writes next is told.
        found = os.fstat(fd)
        if stat.S_ISREG(found.st_mode) and found.st_size:
            return os.pread(fd, 1, found.st_size - 1) != b"\n"
    return False


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
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_UN)
