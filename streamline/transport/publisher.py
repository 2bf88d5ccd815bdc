"""Publish events to whoever subscribes."""

from typing import Final

import zmq

from streamline.errors import InputError
from streamline.transport.curve import Door
from streamline.transport.sockets import Context

__all__ = ["Publisher"]

_LARGEST: Final = 4096
"""Of what subscribers say, their keys and what they subscribe to, bytes.  ZeroMQ forgets a
subscription letter by letter, recursively: a long one would end the process."""


class Publisher:
    """A PUB socket: each event is two parts, the topic ``alert`` and the JSON text.

    Subscribers that are not there miss it; ``streamline_alerts_delivered_total`` counts what
    was published, not who heard it.  Belongs to the thread that made it.

    Raises
    ------
    InputError
        If the address can't be bound.
    """

    def __init__(self, context: Context, address: str, *, door: Door | None = None) -> None:
        self._socket = context.socket(zmq.PUB)
        self._socket.linger = 500
        self._socket.maxmsgsize = _LARGEST
        if door is not None:
            door.fit(self._socket)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as exc:
            self._socket.close()
            msg = f"can't publish alerts on {address}: {exc.strerror}; give another address"
            raise InputError(msg) from exc

    def deliver(self, _alert_id: str, event: bytes, /) -> None:
        """Publish one event."""
        self._socket.send_multipart([b"alert", event], zmq.NOBLOCK)

    def close(self) -> None:
        """Send what is queued, then close."""
        self._socket.close()
