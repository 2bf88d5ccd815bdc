"""Publish events to whoever subscribes."""

from typing import Final

import zmq

from streamline.clock import monotonic_ns
from streamline.errors import InputError
from streamline.transport.curve import Door
from streamline.transport.sockets import Context

__all__ = ["Publisher"]

_TOPIC: Final = b"alert"

_LARGEST: Final = 4096
"""Of what subscribers say, their keys and what they subscribe to, bytes.  ZeroMQ forgets a
subscription letter by letter, recursively: a long one would end the process."""


_HEARD_AT_ONCE: Final = 1000
"""Most that is taken in of what subscribers say, before an event is published: who says more than
that does not hold it up."""

_UNHEARD: Final = 64
"""Most that a subscriber's connection brings before it is taken in: else ZeroMQ would take in what
comes while an event is published, and keep all of it."""

_GATHER_NS: Final = 1_000_000_000
"""Nothing is published for so long after the address was bound: those who have subscribed to a
predecessor, and look for it ten times a second, are all there again by then."""

_ALONE_NS: Final = 5_000_000_000
"""So long an event waits for somebody to subscribe, after the address was bound or the last
subscriber has gone: one who lost the connection comes back.  No event waits longer."""


class Publisher:
    """A socket to subscribe to: each event is two parts, the topic ``alert`` and the JSON text.

    Subscribers are waited for where they may be on their way; those that are not there later miss
    it: ``streamline_alerts_delivered_total`` counts what was published, not who heard it.  Belongs
    to the thread that made it.

    Raises
    ------
    InputError
        If the address can't be bound.
    """

    def __init__(self, context: Context, address: str, *, door: Door | None = None) -> None:
        # PUB does the same, but does not tell whether anybody is there.
        self._socket = context.socket(zmq.XPUB)
        self._socket.linger = 500
        self._socket.maxmsgsize = _LARGEST
        self._socket.rcvhwm = _UNHEARD
        # With this off ZeroMQ takes no IPv6 address, with it on none but.
        self._socket.ipv6 = address.startswith("tcp://[")
        if door is not None:
            door.fit(self._socket)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as exc:
            self._socket.close()
            msg = f"can't publish alerts on {address}: {exc.strerror}; give another address"
            raise InputError(msg) from exc
        self._wanted: set[bytes] = set()
        """What is subscribed to, as far as alerts belong to it."""

        self._alone_since_ns = monotonic_ns()
        self._gathered_ns = self._alone_since_ns + _GATHER_NS

    def deliver(self, _alert_id: str, event: bytes, /) -> None:
        """Publish one event, once subscribers have had the time to be there."""
        self._hear()
        # However often somebody comes and goes meanwhile.
        latest_ns = monotonic_ns() + _ALONE_NS
        while (left_ns := min(self._ready_ns, latest_ns) - monotonic_ns()) > 0:
            self._socket.poll(left_ns // 1_000_000 + 1)
            self._hear()
        self._socket.send_multipart([_TOPIC, event], zmq.NOBLOCK)

    def close(self) -> None:
        """Send what is queued, then close."""
        self._socket.close()

    @property
    def _ready_ns(self) -> int:
        """When the next event may be published."""
        return self._gathered_ns if self._wanted else self._alone_since_ns + _ALONE_NS

    def _hear(self) -> None:
        """Take in who subscribes, the first to a topic, and who was the last to."""
        for _ in range(_HEARD_AT_ONCE):
            try:
                said = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            topic = said[1:]
            if not _TOPIC.startswith(topic):
                continue
            if said[:1] == b"\1":
                self._wanted.add(topic)
            elif said[:1] == b"\0" and topic in self._wanted:
                self._wanted.remove(topic)
                self._alone_since_ns = monotonic_ns()
