"""What is kept between runs in the user's cache; anything there may be deleted at any time."""

import os
import shutil
from pathlib import Path

__all__ = ["cache_folder", "drop_oldest"]


def cache_folder(name: str) -> Path:
    """Folder for one kind of things kept: ``$XDG_CACHE_HOME/streamline/NAME``, not made here.

    ``~/.cache`` where the variable is empty or, as its specification demands, not absolute.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "streamline" / name


def drop_oldest(newest: Path, most_bytes: int) -> None:
    """Delete the folders beside *newest* that were used longest ago, so that the rest fits.

    Parameters
    ----------
    newest : Path
        A folder that stays whatever its size.
    most_bytes : int
        What all folders may take together, B.

    Raises
    ------
    OSError
        If the folders can't be listed. One that another process deletes meanwhile is no error.
    """
    # A file beside them is not ours.
    folders = [path for path in newest.parent.iterdir() if path.is_dir()]
    total = 0
    for folder in sorted(folders, key=_modified_s, reverse=True):
        total += sum(map(_size, folder.rglob("*")))
        if total > most_bytes and folder != newest:
            shutil.rmtree(folder, ignore_errors=True)


def _modified_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
