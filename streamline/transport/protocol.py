"""What the two ends of a link say to each other, as bytes.

Each message is a head, then parts:

====  =========================  ===============================================================
 H    outlet → inlet             hello, repeated until welcomed, at least every second, and more
                                 often while the peer is silent: a sign of life, a question what
                                 has arrived, and one for the time
 W    inlet → outlet             welcome, the answer to each hello: credit granted so far, last
                                 tag taken, the time there
 D    outlet → inlet             data: its tag and that of the message before, time of queueing,
                                 attempt, how the clocks stand; then the message's parts
 F    inlet → outlet             flow: credit granted so far, outcomes by tag
 B    outlet → inlet             bye: forget me
 R    inlet → outlet             refused: another wire version
====  =========================  ===============================================================

Credit is cumulative, so a repeated message does no harm.
"""

import struct
from typing import Annotated, Final, NamedTuple

import msgspec

from streamline.clock import UNKNOWN_CLOCK, Shift
from streamline.transport.clocks import LARGEST_SHIFT_NS

__all__ = [
    "BYE",
    "DATA",
    "FLOW",
    "HELLO",
    "MAX_MESSAGE",
    "NONSENSE",
    "REFUSED",
    "WELCOME",
    "DataHead",
    "Flow",
    "Greeting",
    "Hello",
    "Welcome",
    "read_data_head",
    "read_flow",
    "read_greeting",
    "read_hello",
    "read_welcome",
    "write",
    "write_data_head",
]

HELLO, WELCOME, DATA, FLOW, BYE, REFUSED = b"H", b"W", b"D", b"F", b"B", b"R"

MAX_MESSAGE: Final = 64 << 20
"""Largest part that a socket accepts from a peer, bytes."""

NONSENSE: Final = (IndexError, ValueError, RecursionError, struct.error)
"""What reading bytes that may be anything raises: parts or bytes that are missing, another type,
text that is no UTF-8, and arrays nested deeper than can be read."""

_DATA_HEAD: Final = struct.Struct("<cQQqBqq")

_UNKNOWN: Final = -1
"""Stands for the error of clocks that were never compared."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

_Start = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""A time of day: tags go on above it, and have to remain counts for good."""

_Name = Annotated[str, msgspec.Meta(max_length=256)]


class DataHead(NamedTuple):
    """What goes before the parts of a message."""

    tag: int
    before: int
    """Tag of the message before it, or where the acquaintance starts."""

    queued_ns: int
    """When it was queued, on the sender's clock."""

    attempt: int
    """How many receivers were lost with it."""

    shift: Shift
    """From the sender's clock to the receiver's."""


class Greeting(msgspec.Struct, frozen=True, array_like=True):
    """As much of a hello as every version has."""

    version: int
    name: _Name


class Hello(Greeting, frozen=True, array_like=True):
    """What an outlet says of itself."""

    clock: _Name
    born_ns: Count
    """When the outlet was made, by its time of day: which of two of one name is the successor."""

    last_tag: Count
    oldest: Count
    """Tag of the oldest message whose outcome has not been heard; above `last_tag` if none."""

    asked_ns: int
    """When this was said, on the outlet's clock."""

    shift_ns: int
    error_ns: int

    @property
    def shift(self) -> Shift:
        """From the outlet's clock to the inlet's, as the outlet knows it."""
        return _shift(self.shift_ns, self.error_ns)


class Welcome(msgspec.Struct, frozen=True, array_like=True):
    """What an inlet answers to a hello."""

    start: _Start
    """Names the acquaintance: another one knows nothing of what was said in this."""

    clock: _Name
    granted: Count
    seen: _Start
    """Tag of the last message that was accepted."""

    last_tag: Count
    asked_ns: int
    """Both from the hello that this answers."""

    told_ns: int
    """When this was said, on the inlet's clock."""


class Flow(msgspec.Struct, frozen=True, array_like=True):
    """What has become of an outlet's messages."""

    granted: Count
    outcomes: list[tuple[int, bytes]]


write = msgspec.msgpack.Encoder().encode
read_greeting = msgspec.msgpack.Decoder(Greeting).decode
read_hello = msgspec.msgpack.Decoder(Hello).decode
read_welcome = msgspec.msgpack.Decoder(Welcome).decode
read_flow = msgspec.msgpack.Decoder(Flow).decode


def write_data_head(head: DataHead) -> bytes:
    """Return the first part of a data message."""
    ns, error_ns = head.shift
    attempt = min(head.attempt, 255)
    error_ns = _UNKNOWN if error_ns is None else error_ns
    return _DATA_HEAD.pack(DATA, head.tag, head.before, head.queued_ns, attempt, ns, error_ns)


def read_data_head(data: bytes) -> DataHead:
    """Read the first part of a data message; struct.error if it is none."""
    _, tag, before, queued_ns, attempt, ns, error_ns = _DATA_HEAD.unpack(data)
    return DataHead(tag, before, queued_ns, attempt, _shift(ns, error_ns))


def _shift(ns: int, error_ns: int) -> Shift:
    sane = abs(ns) <= LARGEST_SHIFT_NS and 0 <= error_ns <= LARGEST_SHIFT_NS
    return Shift(ns, error_ns) if sane else UNKNOWN_CLOCK
