"""Ports of this machine for servers that a test starts."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final

__all__ = ["free_port", "listens", "refusing_port"]

_FIRST: Final = 10_000
_SPAN: Final = 4_500
_WORKERS: Final = 5

_turns: Final = count(61 * os.getpid())
"""Where the next look begins: elsewhere in each process, and never soon again where it was."""


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port that nobody has, and that is soon given to nobody else.

    A system hands those from 32,768 on out to whoever asks for any, also between this and the
    server's start, or while it is away.  Below it each of the workers that run tests side by side
    has its own.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for _ in range(_SPAN):
        port = _FIRST + worker % _WORKERS * _SPAN + next(_turns) % _SPAN
        with socket.socket() as found:
            if not _is_taken(found, address, port):
                return port
    msg = f"none of {_SPAN} ports is free"
    raise RuntimeError(msg)


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that refuses connections: it is held, and nobody listens there."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_taken(found: socket.socket, address: str, port: int) -> bool:
    try:
        found.bind((address, port))
    except OSError:
        return True
    return False
