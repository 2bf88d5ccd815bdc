"""Disks that are full, read-only or broken."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

__all__ = [
    "BreakingDisk",
    "SmallDisk",
    "breaking_disk",
    "files_no_longer_than",
    "require_disk",
    "small_disk",
]

_BLOCK: Final = 1 << 16


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """Let writes of this process beyond that many bytes fail, as on a full disk.

    Python ignores the signal that comes with it.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


class SmallDisk:
    """A mounted disk of its own, soon full.

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
    def read_only(self) -> Iterator[None]:
        """Let nothing be written; no file of it may be open for writing when that begins."""
        _run("mount", "-o", "remount,ro", self.folder)
        try:
            yield
        finally:
            _run("mount", "-o", "remount,rw", self.folder)


class BreakingDisk:
    """A disk with a journal, which turns read-only for good when it fails, as they do.

    Parameters
    ----------
    image : Path
        The file that it is made of.
    folder : Path
        Where it is mounted.
    """

    def __init__(self, image: Path, folder: Path) -> None:
        self._image = image
        self.folder = folder

    def mount(self) -> None:
        """Mount it; what was cut short on it is made good by its journal."""
        _run("mount", "-o", "loop", self._image, self.folder)

    def fail(self) -> None:
        """Let it fail: whatever is open for writing, nothing more is written."""
        _run("mount", "-o", "remount,abort", self.folder)

    @contextmanager
    def after_a_power_cut(self, folder: Path) -> Iterator[Path]:
        """Mount elsewhere what would be on it had the power failed just now."""
        image = folder.with_suffix(".image")
        shutil.copyfile(self._image, image)
        folder.mkdir()
        _run("mount", "-o", "loop", image, folder)
        try:
            yield folder
        finally:
            _run("umount", "-l", folder)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it hang: whoever writes or syncs waits, as for a slow card or file server."""
        _run("fsfreeze", "--freeze", self.folder)
        try:
            yield
        finally:
            _run("fsfreeze", "--unfreeze", self.folder)

    def unmount(self) -> None:
        """Take it away, once nobody has a file of it open."""
        _run("umount", self.folder)


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a disk of that size; CalledProcessError where that is not permitted."""
    folder.mkdir(parents=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", folder)
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: somebody may still look at a file of it.
        _run("umount", "-l", folder)


@contextmanager
def breaking_disk(folder: Path, *, megabytes: int) -> Iterator[BreakingDisk]:
    """Mount a disk that can fail; CalledProcessError where that is not permitted."""
    folder.mkdir(parents=True)
    image = folder.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    _run("mkfs.ext4", "-q", "-F", image)
    disk = BreakingDisk(image, folder)
    disk.mount()
    try:
        yield disk
    finally:
        _run("umount", "-l", folder)


def require_disk(folder: Path, *, breaks: bool = False) -> None:
    """Skip where no disk can be mounted."""
    try:
        with (breaking_disk if breaks else small_disk)(folder, megabytes=1):
            pass
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a disk can't be mounted here: that needs root")


def _run(*command: str | Path) -> None:
    subprocess.run([*map(str, command)], check=True, capture_output=True, timeout=60)
