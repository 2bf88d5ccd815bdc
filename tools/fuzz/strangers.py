"""Frames of strangers to a locked link: each over a connection of its own, all with sound words."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Final

import zmq

from streamline.clock import SAME_CLOCK, monotonic_ns, wall_ns
from streamline.transport import protocol
from streamline.transport.curve import Door, Doorkeeper, KeyPair, Lock
from streamline.transport.link import Inlet, Outlet
from streamline.transport.protocol import DataHead, Hello
from streamline.transport.sockets import Context, Socket
from streamline.transport.wire import WIRE_VERSION
from tests.support.links import free_port
from tests.support.until import until
from tools.fuzz.tally import Tally

__all__ = ["fuzz_strangers"]

_TOGETHER: Final = 16
"""Strangers who come at once."""

_LIMIT_S: Final = 30.0


class _Host:
    """A receiving host and who it lets in."""

    def __init__(self, context: Context, friend: KeyPair) -> None:
        self.own = KeyPair.new()
        self.refused: Counter[str] = Counter()
        self._keeper = Doorkeeper(context, [friend.public], self._count)
        self.address = f"tcp://127.0.0.1:{free_port()}"
        door = Door("prepared", self.own, self._keeper)
        self.inlet = Inlet(context, self.address, window=4, door=door)
        self.inlet.admit()

    def _count(self, _link: str, reason: str) -> None:
        self.refused[reason] += 1

    def close(self) -> None:
        self.inlet.close()
        self._keeper.close()


def fuzz_strangers(count: int) -> Tally:
    """Send frames by keys that are not listed; each has to be refused, and to be counted."""
    context: Context = zmq.Context()
    friend = KeyPair.new()
    with (
        Tally("strangers' frames, to a locked link").measured() as tally,
        closing(_Host(context, friend)) as host,
    ):
        for first in range(0, count, _TOGETHER):
            _come(context, host, min(_TOGETHER, count - first), tally)
        tally.feed(lambda: _talks(context, host, friend), (), "a listed host after all that")
        tally.taken -= 1
    context.destroy(linger=0)
    return tally


def _come(context: Context, host: _Host, count: int, tally: Tally) -> None:
    """Let some strangers try, until as many are counted."""
    before = host.refused["key"]
    sockets = [_stranger(context, host) for _ in range(count)]
    try:
        until(
            lambda: host.refused["key"] == before + count,
            step=host.inlet.exchange,
            limit_s=_LIMIT_S,
        )
    except AssertionError:
        tally.fail(f"{host.refused['key'] - before} of {count} frames are counted")
    for socket in sockets:
        socket.close()
    arrived = len(host.inlet.take(100)) + len(host.inlet.peers())
    if arrived:
        tally.fail(f"{arrived} strangers were heard")
    tally.refused += host.refused["key"] - before


def _stranger(context: Context, host: _Host) -> Socket:
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    Lock(KeyPair.new(), host.own.public).fit(socket)
    socket.connect(host.address)
    with suppress(zmq.Again):  # He is refused already.
        for parts in _words():
            socket.send_multipart(parts, zmq.NOBLOCK)
    return socket


def _words() -> Sequence[Sequence[bytes]]:
    """Return what an outlet says: who it is, and one frame."""
    hello = Hello(WIRE_VERSION, "left", "clock", wall_ns(), 1, 1, monotonic_ns(), 0, -1)
    head = DataHead(1, 0, monotonic_ns(), 0, SAME_CLOCK)
    return [
        [protocol.HELLO, protocol.write(hello)],
        [protocol.write_data_head(head), b"frame", bytes(1000)],
    ]


def _talks(context: Context, host: _Host, friend: KeyPair) -> None:
    """Let a host that is listed get an answer."""
    lock = Lock(friend, host.own.public)
    settled: list[object] = []

    def step() -> None:
        for delivery in host.inlet.take(4):
            host.inlet.answer(delivery, b"x")
        host.inlet.exchange()
        settled.extend(outlet.exchange())

    with closing(
        Outlet[int](context, host.address, name="left", depth=4, evict=False, lock=lock)
    ) as outlet:
        outlet.offer([b"1"], 1)
        until(lambda: bool(settled), step=step, limit_s=8)
