"""Threads of this process that something has started."""

import threading

__all__ = ["new_threads"]


def new_threads(before: list[threading.Thread]) -> list[threading.Thread]:
    """Return those that live now and did not before.

    How many there are says less: one that an earlier test has left may end at any time.
    """
    return [one for one in threading.enumerate() if one not in before]
