"""A clock of a line's own, which can be set: libfaketime stands before the C library's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from unittest.mock import patch

__all__ = ["FalseClock"]

_LIBRARIES: Final = "/usr/lib/*/faketime/libfaketimeMT.so.1"


class FalseClock:
    """The wall clock of every process that is started while it is installed.

    The monotonic clock goes on as it is, as the kernel's does when somebody sets the other one.

    Parameters
    ----------
    file : Path
        What it shows is written into it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    @staticmethod
    def library() -> str | None:
        """Return the library; None where it is not installed."""
        found = sorted(Path("/").glob(_LIBRARIES.removeprefix("/")))
        return str(found[0]) if found else None

    @contextmanager
    def worn(self) -> Iterator[None]:
        """Let processes that are started meanwhile have this clock.

        Raises
        ------
        FileNotFoundError
            If the library is not installed.
        """
        library = self.library()
        if library is None:
            raise FileNotFoundError(_LIBRARIES)
        wanted = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        with patch.dict(os.environ, wanted):
            yield

    def set(self, ahead_s: int) -> None:
        """Show a time that is so much ahead of the true one; behind it if that is negative."""
        partial = self._file.with_suffix(".partial")
        partial.write_text(f"{ahead_s:+d}s\n")
        partial.rename(self._file)
