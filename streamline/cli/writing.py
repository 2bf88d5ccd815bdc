"""Files that commands write for the user."""

from pathlib import Path

from streamline.errors import InputError

__all__ = ["writable", "write_text"]


def writable(path: Path) -> None:
    """Make sure, before the work begins, that its result can be written.

    Raises
    ------
    InputError
        If it can't.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a"):
            pass
    except OSError as exc:
        msg = f"{path}: can't be written ({exc.strerror}); give another path"
        raise InputError(msg) from exc


def write_text(path: Path, text: str) -> None:
    """Write a whole file, or leave the old one: never half of it."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text)
        partial.replace(path)
    except OSError as exc:
        msg = f"{path}: can't be written ({exc.strerror}); give another path"
        raise InputError(msg) from exc
