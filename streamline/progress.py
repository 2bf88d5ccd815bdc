"""How work that takes a while tells how far it has come."""

from collections.abc import Callable

__all__ = ["Progress", "ignore_progress"]

Progress = Callable[[str, int, int | None], None]
"""Told what is done (``frames``, ``layers`` …), how many are, and of how many if known."""


def ignore_progress(_what: str, _done: int, _total: int | None) -> None:
    """Progress that nobody watches."""
