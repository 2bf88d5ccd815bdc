"""Where lines keep what lives as long as they do, and what outlives them."""

import os
import stat
from pathlib import Path

from streamline.errors import InputError

__all__ = ["passed_over", "private_base", "state_base"]


def private_base() -> Path:
    """Return the first of the usual places that is safe from other users.

    `RUNTIME_DIRECTORY` is the service manager's word and is kept to; `XDG_RUNTIME_DIR` may be
    another user's, whom `sudo -E` was called by, or everybody's, as in many containers, and is
    passed over then.

    Raises
    ------
    InputError
        If there is none, or `RUNTIME_DIRECTORY` is not safe.
    """
    if (named := _named("RUNTIME_DIRECTORY")) is not None:
        if (folder := _safe(named)) is None:
            msg = (
                f"RUNTIME_DIRECTORY: any user may write into {named}, or it is another's; "
                "set it to a folder of this user (mode 0700), or to nothing"
            )
            raise InputError(msg)
        return folder
    if (named := _named("XDG_RUNTIME_DIR")) is not None and (folder := _safe(named)) is not None:
        return folder
    for parent in (Path("/dev/shm"), Path("/tmp")):  # noqa: S108 - checked to be ours below
        if (folder := _own_folder(parent)) is not None:
            return folder
    msg = "no private folder for sockets can be made; set XDG_RUNTIME_DIR to one"
    raise InputError(msg)


def passed_over() -> Path | None:
    """Return what `XDG_RUNTIME_DIR` names if `private_base` passes it over as unsafe."""
    if _named("RUNTIME_DIRECTORY") is not None:
        return None
    named = _named("XDG_RUNTIME_DIR")
    return named if named is not None and _safe(named) is None else None


def _named(name: str) -> Path | None:
    folders = os.environ.get(name)
    return Path(folders.split(":")[0]) if folders else None


def _safe(folder: Path) -> Path | None:
    """Return a folder, or one of ours in it where others have theirs there too; None if neither.

    Whoever may write beside our files may hold their locks, and put sockets there for ours.  Our
    own folder's group may: it is whom we let in, by umask or by the service's file.
    """
    try:
        found = folder.stat()
    except OSError:  # Whoever writes there will tell.
        return folder
    if found.st_uid == os.getuid() and not found.st_mode & stat.S_IWOTH:
        return folder
    # Its owner may rename what is in it, and so may who writes there unless each keeps his own.
    writable = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    trusted = found.st_uid in {0, os.getuid()} and (not writable or found.st_mode & stat.S_ISVTX)
    return _own_folder(folder) if trusted else None


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
