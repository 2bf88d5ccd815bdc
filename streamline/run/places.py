"""Where lines keep what lives as long as they do, and what outlives them."""

import os
import stat
from pathlib import Path
from typing import Final

from streamline.errors import InputError

__all__ = ["private_base", "state_base"]

_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def private_base() -> Path:
    """Return the first of the usual places that is private to this user.

    Raises
    ------
    InputError
        If there is none, or the one that the environment names is not safe from other users.
    """
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        if os.environ.get(name):
            return _named(name, Path(os.environ[name].split(":")[0]))
    for parent in (Path("/dev/shm"), Path("/tmp")):  # noqa: S108 - checked to be ours below
        if (folder := _own_folder(parent)) is not None:
            return folder
    msg = "no private folder for sockets can be made; set XDG_RUNTIME_DIR to one"
    raise InputError(msg)


def _named(name: str, folder: Path) -> Path:
    """Return a folder, or one of ours in it where others have theirs there too.

    Whoever may write beside our files may hold their locks, and put sockets there for ours.
    """
    try:
        found = folder.stat()
    except OSError:  # Whoever writes there will tell.
        return folder
    writable = found.st_mode & _OTHERS_WRITE
    if found.st_uid == os.getuid() and not writable:
        return folder
    # Its owner may rename what is in it, and so may who writes there unless each keeps his own.
    trusted = found.st_uid in {0, os.getuid()} and (not writable or found.st_mode & stat.S_ISVTX)
    below = _own_folder(folder) if trusted else None
    if below is None:
        msg = (
            f"{name}: other users may write into {folder}, or it is another's; "
            "set it to a folder of this user alone (mode 0700), or to nothing"
        )
        raise InputError(msg)
    return below


def _own_folder(parent: Path) -> Path | None:
    """Return this user's folder in one of all, made where it is missing; None if it can't be."""
    folder = parent / f"streamline-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return None
    folder.chmod(0o700)
    return folder


def state_base() -> Path:
    """Return the folder for what outlives a line: the service manager's, or else the user's."""
    if folders := os.environ.get("STATE_DIRECTORY"):
        return Path(folders.split(":")[0])
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "streamline"
