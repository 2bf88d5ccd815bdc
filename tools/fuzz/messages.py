"""Messages between stages: to what reads them, and to real ends of links by real sockets."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import zmq

from streamline.clock import SAME_CLOCK, monotonic_ns, wall_ns
from streamline.errors import WireError
from streamline.ledger import Ledger, decode
from streamline.messages import (
    Dropped,
    Frame,
    FrameId,
    Judged,
    Origin,
    Outcome,
    Picture,
    Pin,
    PinKind,
    PixelFormat,
    Prepared,
    Scored,
    Verdict,
)
from streamline.transport import protocol
from streamline.transport.link import Inlet, Outlet
from streamline.transport.protocol import DataHead, Flow, Hello, Welcome
from streamline.transport.telemetry import TelemetryInlet
from streamline.transport.wire import (
    WIRE_VERSION,
    decode_frame,
    decode_outcome,
    decode_prepared,
    decode_scored,
    encode_frame,
    encode_outcome,
    encode_prepared,
    encode_scored,
)
from tests.support.until import until
from tools.fuzz.mutation import mutated
from tools.fuzz.tally import Tally

__all__ = ["fuzz_ledgers", "fuzz_links", "fuzz_messages"]

_Context = zmq.Context[zmq.Socket[bytes]]
_TOGETHER: Final = 32
"""Messages sent before the other end is asked to read them."""

_ORIGIN: Final = Origin(FrameId("left", 1_700_000_000_000, 7), 10**12, 10**18, 0, 0.28)


def _samples() -> Mapping[str, tuple[Callable[[Sequence[bytes]], object], list[list[bytes]]]]:
    """Return what reads each kind of message, and sound messages."""
    gray = Picture(format=PixelFormat.GRAY, planes=(np.zeros((4, 6), np.uint8),))
    halves = [np.zeros((4, 6), np.uint8), *(np.zeros((2, 3), np.uint8) for _ in range(2))]
    planes = Picture(format=PixelFormat.I420, planes=tuple(halves))
    pin = Pin(
        kind=PinKind.FAIL,
        alert_id="left-ff-7",
        score=2.0,
        threshold=1.0,
        record='{"camera":"left"}',
        map=np.ones((4, 4), np.float16),
    )
    frames = [encode_frame(Frame(origin=_ORIGIN, picture=one)) for one in (gray, planes)]
    prepared = Prepared(origin=_ORIGIN, pixels=np.zeros((4, 4, 3), np.uint8))
    scored = Scored(origin=_ORIGIN, score=1.5, model="ab" * 6)
    outcomes: list[Outcome] = [
        Judged(verdict=Verdict.FAIL, pin=pin),
        Judged(verdict=Verdict.PASS),
        Dropped(stage="source", reason="crashed"),
    ]
    return {
        "frame": (lambda p: decode_frame(p, SAME_CLOCK), [_flat(one) for one in frames]),
        "prepared": (lambda p: decode_prepared(p, SAME_CLOCK), [_flat(encode_prepared(prepared))]),
        "scored": (lambda p: decode_scored(p, SAME_CLOCK), [_flat(encode_scored(scored))]),
        "outcome": (lambda p: decode_outcome(p[0]), [[encode_outcome(one)] for one in outcomes]),
    }


def _flat(parts: Sequence[Any]) -> list[bytes]:
    return [bytes(part) for part in parts]


def fuzz_messages(count: int, seed: int) -> Tally:
    """Read mutated messages of each kind."""
    chance = random.Random(seed)  # noqa: S311 - the same again from one seed
    samples = _samples()
    with Tally("messages, read").measured() as tally:
        for number in range(count):
            kind = chance.choice(list(samples))
            read, sound = samples[kind]
            parts = _mutated_parts(chance.choice(sound), chance)
            case = partial(read, parts)
            tally.feed(case, (WireError,), f"{kind} {number} of seed {seed}")
    return tally


def _mutated_parts(parts: list[bytes], chance: random.Random) -> list[bytes]:
    made = list(parts)
    at = chance.randrange(len(made))
    made[at] = mutated(made[at], chance)
    if chance.random() < 0.05:
        made.insert(at, made[at])
    elif chance.random() < 0.05 and len(made) > 1:
        del made[at]
    return made


def fuzz_ledgers(count: int, seed: int) -> Tally:
    """Read mutated ledgers, as parts of a line on other hosts send them."""
    chance = random.Random(seed)  # noqa: S311 - the same again from one seed
    sound = _ledger()
    with Tally("ledgers, read").measured() as tally:
        for number in range(count):
            case = partial(decode, mutated(sound, chance))
            tally.feed(case, (ValueError,), f"ledger {number} of seed {seed}")
    return tally


def _ledger() -> bytes:
    ledger = Ledger()
    ledger.counter("frames_total", camera="left").add(3)
    ledger.gauge("up").set(1)
    ledger.histogram("seconds", (0.1, 1.0)).observe(0.5)
    ledger.ring("latest", 8).push(1.0)
    ledger.table("held", 8).put(0, [1.0, 2.0])
    head = ledger._head()  # noqa: SLF001 - the bytes of a file that is not made
    cells = np.concatenate([np.ones(20), np.zeros(4)])
    return head + cells.tobytes()


def fuzz_links(count: int, seed: int, folder: Path) -> Tally:
    """Send mutated messages to both ends of real links, and to one that takes figures in."""
    chance = random.Random(seed)  # noqa: S311 - the same again from one seed
    context: _Context = zmq.Context()
    share = count // 3
    with Tally("messages, sent to links").measured() as tally:
        _to_inlet(context, f"ipc://{folder}/inlet", share, chance, tally)
        _to_outlet(context, f"ipc://{folder}/outlet", share, chance, tally)
        _to_telemetry(context, f"ipc://{folder}/telemetry", count - 2 * share, chance, tally)
    context.destroy(linger=0)
    return tally


def _to_inlet(
    context: _Context, address: str, count: int, chance: random.Random, tally: Tally
) -> None:
    hello = Hello(WIRE_VERSION, "left", "clock", wall_ns(), 0, 1, monotonic_ns(), 0, -1)
    head = DataHead(1, 0, monotonic_ns(), 0, SAME_CLOCK)
    sound = [
        [protocol.HELLO, protocol.write(hello)],
        [protocol.write_data_head(head), b"one", b"two"],
        [protocol.BYE],
    ]
    with closing(Inlet(context, address, window=4)) as inlet:
        inlet.admit()

        def look() -> None:
            for delivery in inlet.take(1000):
                inlet.answer(delivery, b"x")
            inlet.exchange()

        with closing(context.socket(zmq.DEALER)) as peer:
            peer.linger = 0
            peer.connect(address)
            for first in range(0, count, _TOGETHER):
                for _ in range(min(_TOGETHER, count - first)):
                    _send(peer, _mutated_parts(chance.choice(sound), chance), look)
                    tally.refused += 1
                _look(look, tally, f"inlet, message {first}")
                while peer.poll(0):
                    peer.recv_multipart()
        _look(lambda: _talks(context, address, look), tally, "inlet, an outlet after all that")


def _send(peer: zmq.Socket[bytes], parts: Sequence[bytes], look: Callable[[], object]) -> None:
    """Send a message; where too many wait, the other end reads first."""

    def is_sent() -> bool:
        try:
            peer.send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    until(is_sent, step=look)


def _look(
    look: Callable[[], object],
    tally: Tally,
    what: str,
    refusals: tuple[type[Exception], ...] = (),
) -> None:
    """Let an end of a link read what has been counted when it was sent."""
    counted = tally.taken, tally.refused
    tally.feed(look, refusals, what)
    tally.taken, tally.refused = counted


def _talks(context: _Context, address: str, look: Callable[[], object]) -> None:
    """Let an end that is sound get an answer."""
    settled: list[object] = []
    with closing(Outlet[int](context, address, name="sound", depth=4, evict=False)) as outlet:
        outlet.offer([b"1"], 1)

        def step() -> None:
            look()
            settled.extend(outlet.exchange())

        until(lambda: bool(settled), step=step, limit_s=8)


def _to_outlet(
    context: _Context, address: str, count: int, chance: random.Random, tally: Tally
) -> None:
    with closing(context.socket(zmq.ROUTER)) as peer:
        peer.linger = 0
        peer.bind(address)
        with closing(Outlet[int](context, address, name="left", depth=8, evict=True)) as outlet:
            identities: list[bytes] = []

            def hear() -> None:
                outlet.exchange()
                while peer.poll(0):
                    identities.append(peer.recv_multipart()[0])

            until(lambda: bool(identities), step=hear)
            for first in range(0, count, _TOGETHER):
                outlet.offer([b"frame"], first)
                for _ in range(min(_TOGETHER, count - first)):
                    parts = _mutated_parts(_said(chance), chance)
                    peer.send_multipart([identities[-1], *parts])
                    tally.refused += 1
                del identities[:-1]
                _look(hear, tally, f"outlet, message {first}", (WireError,))


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


def _to_telemetry(
    context: _Context, address: str, count: int, chance: random.Random, tally: Tally
) -> None:
    head = protocol.write(["part", "infer", wall_ns()])
    sound, ledger = [head, _ledger()], _ledger()
    with (
        closing(TelemetryInlet(context, address)) as inlet,
        closing(context.socket(zmq.PUSH)) as peer,
    ):
        peer.linger = 0
        peer.connect(address)
        for first in range(0, count, _TOGETHER):
            for _ in range(min(_TOGETHER, count - first)):
                _send(peer, _mutated_parts(sound, chance), inlet.latest)
                tally.refused += 1
            _look(inlet.latest, tally, f"telemetry, message {first}")
        told = [head, ledger]
        _send(peer, told, inlet.latest)
        _look(
            lambda: until(lambda: ("part", "infer") in inlet.latest(), limit_s=8),
            tally,
            "telemetry, sound figures after all that",
        )
