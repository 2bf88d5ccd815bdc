"""Files that commands write for the user."""

from pathlib import Path

from streamline.errors import InputError

__all__ = ["writable", "write_text"]


def writable(path: Path | None) -> None:
    """Make sure, before the work begins, that its result can be written; None asks for none.

    Raises
    ------
    InputError
        If it can't.
    """
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a"):
            pass
    except OSError as exc:
        msg = f"{path}: can't be written ({exc.strerror}); give another path"
        raise InputError(msg) from exc


def write_text(path: Path | None, text: str) -> None:
    """Write a whole file, or leave the old one, never half of it; None asks for none."""
    if path is None:
        return
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text)
        partial.replace(path)
    except OSError as exc:
        msg = f"{path}: can't be written ({exc.strerror}); give another path"
        raise InputError(msg) from exc
