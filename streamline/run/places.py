"""Where lines keep what lives as long as they do, and what outlives them."""

import os
import stat
from pathlib import Path

from streamline.errors import InputError

__all__ = ["private_base", "state_base"]


def private_base() -> Path:
    """Return the first of the usual places that is private to this user.

    Raises
    ------
    InputError
        If there is none.
    """
    for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        if os.environ.get(name):
            return Path(os.environ[name].split(":")[0])
    for parent in (Path("/dev/shm"), Path("/tmp")):  # noqa: S108 - checked to be ours below
        folder = parent / f"streamline-{os.getuid()}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            continue
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            folder.chmod(0o700)
            return folder
    msg = "no private folder for sockets can be made; set XDG_RUNTIME_DIR to one"
    raise InputError(msg)


def state_base() -> Path:
    """Return the folder for what outlives a line: the service manager's, or else the user's."""
    if folders := os.environ.get("STATE_DIRECTORY"):
        return Path(folders.split(":")[0])
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "streamline"
