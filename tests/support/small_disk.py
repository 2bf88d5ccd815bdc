"""A disk that is soon full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["SmallDisk", "small_disk"]

_BLOCK: Final = 1 << 16


class SmallDisk:
    """A mounted disk of its own.

    Parameters
    ----------
    folder : Path
        Where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / ".filler"

    def fill(self) -> None:
        """Leave no byte free; what is removed from it meanwhile becomes free."""
        descriptor = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        size = _BLOCK
        while size:
            try:
                os.write(descriptor, bytes(size))
            except OSError:
                size //= 2
        os.close(descriptor)

    def free(self) -> None:
        """Give the room back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a disk of that size; CalledProcessError where that is not permitted."""
    folder.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700"]
    subprocess.run(
        ["mount", *options, "tmpfs", str(folder)], check=True, capture_output=True, timeout=60
    )
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: somebody may still look at a file of it.
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=60)
