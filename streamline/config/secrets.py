"""Secrets that stand in files of their own, so that the pipeline file holds none."""

from pathlib import Path

from streamline.errors import InputError

__all__ = ["read_secret"]


def read_secret(path: Path) -> str:
    """Return the secret that a file holds, without blanks around it.

    Raises
    ------
    InputError
        If the file can't be read, is no text, or holds nothing or more than 4096 characters.
    """
    try:
        with path.open(encoding="utf-8") as file:
            secret = file.read(4097).strip()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is no text"
        msg = f"can't read the secret's file {path}: {reason}"
        raise InputError(msg) from None  # the cause may quote what the file holds
    if not secret or len(secret) > 4096:
        msg = f"the secret's file {path} is {'too long' if secret else 'empty'}"
        raise InputError(msg)
    return secret
