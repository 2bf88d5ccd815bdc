"""Messages to real ends of links, by real sockets: each end counts what it refuses."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import zmq
from structlog.testing import capture_logs

from streamline.clock import SAME_CLOCK, monotonic_ns, wall_ns
from streamline.errors import WireError
from streamline.metrics.believed import believed
from streamline.transport import protocol
from streamline.transport.link import Inlet, Outlet
from streamline.transport.protocol import DataHead, Flow, Hello, Welcome
from streamline.transport.refusals import Refusals
from streamline.transport.sockets import Context, Socket
from streamline.transport.telemetry import TelemetryInlet
from streamline.transport.wire import WIRE_VERSION
from tests.support.until import until
from tools.fuzz.figures import ledger_of, sound_series
from tools.fuzz.mutation import mutated_parts, mutated_value
from tools.fuzz.tally import Tally

__all__ = ["fuzz_inlet", "fuzz_outlet", "fuzz_telemetry"]

_TOGETHER: Final = 32
"""Messages sent before the other end is asked to read them."""

_MARK: Final = 7
"""When the last hello was said: what came before it has been read once that is answered."""

_LAST: Final = -1
"""The message that is offered at the end."""

_ACQUAINTANCE: Final = 2**61 + 7
"""Where the last welcome's tags start."""


def fuzz_inlet(count: int, seed: int, folder: Path) -> Tally:
    """Send mutated messages to the receiving end of a link."""
    chance = random.Random(seed)  # noqa: S311 - the same again from one seed
    address, refusals = f"ipc://{folder}/inlet", Refusals("fuzzed")
    with (
        _context() as context,
        Tally("messages, sent to an inlet").measured() as tally,
        closing(Inlet(context, address, window=4, refusals=refusals)) as inlet,
        closing(context.socket(zmq.DEALER)) as peer,
    ):
        inlet.admit()
        peer.linger = 0
        peer.connect(address)

        def look() -> None:
            for delivery in inlet.take(1000):
                inlet.answer(delivery, b"x")
            inlet.exchange()

        for first in range(0, count, _TOGETHER):
            for _ in range(min(_TOGETHER, count - first)):
                _send(peer, _odd(_told(chance), chance), look)
            _look(look, tally, f"inlet, message {first}")
            while peer.poll(0):
                peer.recv_multipart()
        _look(lambda: _is_welcomed(peer, look), tally, "inlet, a hello after all that")
        _look(lambda: _talks(context, address, look), tally, "inlet, an outlet after all that")
        _count(tally, count, refusals.count)
    return tally


def fuzz_outlet(count: int, seed: int, folder: Path) -> Tally:
    """Send mutated messages to the sending end of a link."""
    chance = random.Random(seed)  # noqa: S311 - the same again from one seed
    address, refusals = f"ipc://{folder}/outlet", Refusals("fuzzed")
    with (
        _context() as context,
        Tally("messages, sent to an outlet").measured() as tally,
        closing(context.socket(zmq.ROUTER)) as peer,
        closing(
            Outlet[int](context, address, name="left", depth=8, evict=True, refusals=refusals)
        ) as outlet,
    ):
        peer.linger, peer.router_mandatory = 0, True
        peer.bind(address)
        until(lambda: bool(peer.poll(0)), step=outlet.exchange)
        identity = peer.recv_multipart()[0]
        versions = 0

        def hear() -> list[tuple[int, bytes | None]]:
            nonlocal versions
            try:
                return outlet.exchange()
            except WireError:
                versions += 1
                return []

        for first in range(0, count, _TOGETHER):
            outlet.offer([b"frame"], first)
            for _ in range(min(_TOGETHER, count - first)):
                _send(peer, [identity, *_odd(_said(chance), chance)], hear)
            _look(hear, tally, f"outlet, message {first}")
            while peer.poll(0):
                peer.recv_multipart()
        outlet.offer([b"frame"], _LAST)
        _look(lambda: _settles(peer, identity, hear), tally, "outlet, an inlet after all that")
        _count(tally, count, refusals.count + versions)
    return tally


def fuzz_telemetry(count: int, seed: int, folder: Path) -> Tally:
    """Send mutated figures to where those of other hosts come in."""
    chance = random.Random(seed)  # noqa: S311 - the same again from one seed
    address, refusals = f"ipc://{folder}/telemetry", Refusals("fuzzed")
    sift = partial(believed, cameras=("left", "right"))
    ledger = ledger_of(sound_series())
    sound = [protocol.write(["part", "infer", wall_ns()]), ledger]
    with (
        _context() as context,
        Tally("messages, sent to telemetry").measured() as tally,
        closing(TelemetryInlet(context, address, sift=sift, refusals=refusals)) as inlet,
        closing(context.socket(zmq.PUSH)) as peer,
    ):
        peer.linger = 0
        peer.connect(address)
        for first in range(0, count, _TOGETHER):
            for _ in range(min(_TOGETHER, count - first)):
                _send(peer, mutated_parts(sound, chance), inlet.latest)
            _look(inlet.latest, tally, f"telemetry, message {first}")
        last = [protocol.write(["part", "the last", wall_ns()]), ledger]
        _send(peer, last, inlet.latest)
        _look(
            lambda: until(lambda: ("part", "the last") in inlet.latest(), limit_s=8),
            tally,
            "telemetry, sound figures after all that",
        )
        _count(tally, count, refusals.count)
    return tally


@contextmanager
def _context() -> Iterator[Context]:
    context: Context = zmq.Context()
    with capture_logs():
        yield context
    context.destroy(linger=0)


def _told(chance: random.Random) -> list[bytes]:
    """Return what an outlet says."""
    hello = Hello(WIRE_VERSION, "left", "clock", wall_ns(), 0, 1, monotonic_ns(), 0, -1)
    head = DataHead(1, 0, monotonic_ns(), 0, SAME_CLOCK)
    return chance.choice(
        [
            [protocol.HELLO, protocol.write(hello)],
            [protocol.write_data_head(head), b"one", b"two"],
            [protocol.BYE],
        ]
    )


def _said(chance: random.Random) -> list[bytes]:
    """Return what an inlet says."""
    now_ns = monotonic_ns()
    welcome = Welcome(wall_ns(), "clock", 4, 0, 0, now_ns, now_ns)
    return chance.choice(
        [
            [protocol.WELCOME, protocol.write(welcome)],
            [protocol.FLOW, protocol.write(Flow(8, [(1, b"x"), (2, b"y")]))],
        ]
    )


def _odd(sound: Sequence[bytes], chance: random.Random) -> list[bytes]:
    """Return a message of which some bytes differ, or one value is another, still well written."""
    if len(sound) != 2 or chance.random() < 0.6:
        return mutated_parts(sound, chance)
    value = mutated_value(msgspec.msgpack.decode(sound[1]), chance)
    with suppress(OverflowError, RecursionError):  # msgpack has no bytes for it.
        return [sound[0], protocol.write(value)]
    return mutated_parts(sound, chance)


def _send(peer: Socket, parts: Sequence[bytes], look: Callable[[], object]) -> None:
    """Send a message; where too many wait, the other end reads first."""

    def is_sent() -> bool:
        try:
            peer.send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    until(is_sent, step=look)


def _look(look: Callable[[], object], tally: Tally, what: str) -> None:
    """Let an end of a link read; what it reads is counted by itself."""
    taken = tally.taken
    tally.feed(look, (), what)
    tally.taken = taken


def _count(tally: Tally, sent: int, refused: int) -> None:
    """Take down how many messages an end says it has refused, once it has read them all."""
    tally.refused, tally.taken = refused, sent - refused


def _is_welcomed(peer: Socket, look: Callable[[], object]) -> None:
    """Say hello, and wait for the answer to it."""
    hello = Hello(WIRE_VERSION, "last", "clock", wall_ns(), 0, 1, _MARK, 0, -1)
    _send(peer, [protocol.HELLO, protocol.write(hello)], look)
    answers: list[int] = []

    def step() -> None:
        look()
        while peer.poll(0):
            kind, *parts = peer.recv_multipart()
            if kind == protocol.WELCOME:
                answers.append(protocol.read_welcome(parts[0]).asked_ns)

    until(lambda: _MARK in answers, step=step, limit_s=8)


def _talks(context: Context, address: str, look: Callable[[], object]) -> None:
    """Let an end that is sound get an answer."""
    settled: list[object] = []
    with closing(Outlet[int](context, address, name="sound", depth=4, evict=False)) as outlet:
        outlet.offer([b"1"], 1)

        def step() -> None:
            look()
            settled.extend(outlet.exchange())

        until(lambda: bool(settled), step=step, limit_s=8)


def _settles(
    peer: Socket, identity: bytes, hear: Callable[[], list[tuple[int, bytes | None]]]
) -> None:
    """Welcome an outlet as another inlet would, and answer what it sends then."""
    now_ns = monotonic_ns()
    welcome = Welcome(_ACQUAINTANCE, "clock", 4, _ACQUAINTANCE, 0, now_ns, now_ns)
    settled: list[tuple[int, bytes | None]] = []
    _send(peer, [identity, protocol.WELCOME, protocol.write(welcome)], hear)

    tags: list[int] = []

    def step() -> None:
        settled.extend(hear())
        while peer.poll(0):
            head = peer.recv_multipart()[1]
            if head[:1] == protocol.DATA:
                tags.append(protocol.read_data_head(head).tag)
                answer = Flow(4 + len(tags), [(tags[-1], b"done")])
                peer.send_multipart([identity, protocol.FLOW, protocol.write(answer)])

    until(lambda: (_LAST, b"done") in settled, step=step, limit_s=8)
