"""What every socket that may reach another host has in common."""

from collections.abc import Sequence
from typing import Final

import zmq

__all__ = ["READABLE", "Buffer", "Context", "Socket", "prepare", "readable", "send"]

Socket = zmq.Socket[bytes]
Context = zmq.Context[Socket]
Buffer = bytes | memoryview

# As plain numbers: with ZeroMQ's own enumerations each bit that is set or looked at is a call.
READABLE: Final = int(zmq.POLLIN)
_AT_ONCE: Final = int(zmq.NOBLOCK)
_AT_ONCE_AND_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)

_PING_EVERY_MS: Final = 1000

_DEAD_AFTER_MS: Final = 3000
"""A connection on which nothing came back for this long is broken, though nobody closed it: a
host that was switched off and a cable that was cut say nothing, and TCP by itself goes on trying
for many minutes."""

_CONNECT_WITHIN_MS: Final = 2000
"""Then the attempt is made anew: the kernel would wait longer from time to time."""

_COPIED_BYTES: Final = 1 << 20
"""Parts below this size are copied when they are sent.  To lend their memory to ZeroMQ instead
takes a message back to a thread of its own for every one of them, to say that it is free again:
for a model's input of 200 kB that costs half as much again as the copy (30 against 19 us)."""


def prepare(socket: zmq.Socket[bytes], address: str) -> None:
    """Set up a socket for its address, before it binds or connects."""
    socket.linger = 0
    socket.copy_threshold = _COPIED_BYTES
    if not address.startswith("tcp://"):
        return
    # With this off ZeroMQ takes no IPv6 address, with it on none but.
    socket.ipv6 = address.startswith("tcp://[")
    socket.heartbeat_ivl = _PING_EVERY_MS
    socket.heartbeat_timeout = _DEAD_AFTER_MS
    if socket.type in {zmq.DEALER, zmq.PUSH}:
        socket.connect_timeout = _CONNECT_WITHIN_MS
        socket.reconnect_ivl = 100
        socket.reconnect_ivl_max = 1000


def readable(socket: zmq.Socket[bytes]) -> bool:
    """Whether a message has arrived; `zmq.Socket.poll` makes a poller for every question."""
    return bool(int(socket.getsockopt(zmq.EVENTS)) & READABLE)


def send(socket: zmq.Socket[bytes], parts: Sequence[Buffer]) -> bool:
    """Send a message if there is room for it; return whether there was."""
    try:
        for part in parts[:-1]:
            socket.send(part, _AT_ONCE_AND_MORE, copy=False)
        socket.send(parts[-1], _AT_ONCE, copy=False)
    except zmq.Again:
        return False
    return True
