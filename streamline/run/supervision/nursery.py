"""Where the process that workers are forked from listens: a folder that is never left behind.

The standard library makes a socket with a name for it in the temporary folder, and removes it
when the program ends.  A program that is killed does not; the next one does it instead.
"""

import fcntl
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.util import Finalize
from pathlib import Path
from threading import Event
from typing import Final

from streamline.clock import monotonic_ns
from streamline.errors import InputError

__all__ = ["nursery"]

_PREFIX: Final = "sl-fork-"

_LONGEST_SOCKET_PATH: Final = 107
_BELOW: Final = "/pymp-12345678/listener-12345678"
"""What the standard library makes in the temporary folder."""

_PATIENCE_S: Final = 20.0
"""How long others may look at folders: they need milliseconds, but may be stopped meanwhile."""

_POLL_S: Final = 0.02


@functools.cache
def nursery(base: Path) -> Path:
    """Return this process' folder in *base*; those of processes that are gone are removed.

    Where *base* is too long for a socket below it, this is the usual temporary folder.

    Raises
    ------
    InputError
        If it can't be made, or another process looks at the folders and does not come to its end.
    """
    if len(f"{base}/{_PREFIX}12345678{_BELOW}") > _LONGEST_SOCKET_PATH:
        return Path(tempfile.gettempdir())
    with _alone(base):
        for folder in base.glob(f"{_PREFIX}*/"):
            _remove_if_left(folder)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        # Held until this process ends, however it does.
        fcntl.flock(os.open(folder, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_EX)
    # After the standard library has removed what it made there, at priority -100.
    Finalize(None, shutil.rmtree, (folder,), {"ignore_errors": True}, exitpriority=-200)
    return folder


def _remove_if_left(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # A process that ends removes its own, without the lock.
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


@contextmanager
def _alone(base: Path) -> Iterator[None]:
    """Let no other process look at a folder that is made and not held yet."""
    path = base / f"{_PREFIX}lock"
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        msg = f"{path}: can't be made ({exc.strerror}); set XDG_RUNTIME_DIR"
        raise InputError(msg) from exc
    try:
        _take(lock, path)
        yield
    finally:
        os.close(lock)


def _take(lock: int, path: Path) -> None:
    deadline_ns, pause = monotonic_ns() + round(_PATIENCE_S * 1e9), Event()
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic_ns() > deadline_ns:
                msg = (
                    f"{path}: another process has held it for {_PATIENCE_S:g} s; "
                    f"end it (fuser {path} names it), or set XDG_RUNTIME_DIR to another folder"
                )
                raise InputError(msg) from None
        pause.wait(_POLL_S)
