"""What every socket that may reach another host has in common."""

from typing import Final

import zmq

__all__ = ["Context", "prepare"]

Context = zmq.Context[zmq.Socket[bytes]]

_PING_EVERY_MS: Final = 1000

_DEAD_AFTER_MS: Final = 3000
"""A connection on which nothing came back for this long is broken, though nobody closed it: a
host that was switched off and a cable that was cut say nothing, and TCP by itself goes on trying
for many minutes."""

_CONNECT_WITHIN_MS: Final = 2000
"""Then the attempt is made anew: the kernel would wait longer from time to time."""


def prepare(socket: zmq.Socket[bytes], address: str) -> None:
    """Set up a socket for its address, before it binds or connects."""
    socket.linger = 0
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
