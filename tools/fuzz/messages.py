"""Messages between stages and ledgers, to what reads them."""

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from streamline.clock import SAME_CLOCK
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
from streamline.transport.wire import (
    decode_frame,
    decode_outcome,
    decode_prepared,
    decode_scored,
    encode_frame,
    encode_outcome,
    encode_prepared,
    encode_scored,
)
from tools.fuzz.mutation import mutated, mutated_parts
from tools.fuzz.tally import Tally

__all__ = ["fuzz_ledgers", "fuzz_messages"]

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
            parts = mutated_parts(chance.choice(sound), chance)
            case = partial(read, parts)
            tally.feed(case, (WireError,), f"{kind} {number} of seed {seed}")
    return tally


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
