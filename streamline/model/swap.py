"""Exchange two directories so that there is no moment without either."""

import ctypes
import os
from pathlib import Path

__all__ = ["swap_directories"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def swap_directories(one: Path, other: Path, /) -> None:
    """Exchange the names of two directories of one file system, atomically where it can.

    Linux exchanges two names in one step (renameat2, since 3.15); a file system that can't
    gets two renames, with a moment between them.

    Raises
    ------
    OSError
        If the names can't be changed.
    """
    library = ctypes.CDLL(None, use_errno=True)
    renameat2 = getattr(library, "renameat2", None)
    if renameat2 is not None:
        names = (os.fsencode(one), os.fsencode(other))
        if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
            return
    aside = one.with_name(one.name + ".old")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)
