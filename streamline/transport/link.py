"""One hop between two stages: bounded, counted, and answered frame by frame.

Plain ZeroMQ queues can't say what they hold or drop their oldest message, so the sending end
(`Outlet`) keeps the queue itself and sends only what the receiving end (`Inlet`) has granted
credit for.  The receiver answers each message once the fate of its frame is decided, which may
be several stages further on: until then the sender knows it as unanswered.  What a dead peer
lost is therefore exactly what it has not answered, and a drained link has nothing unanswered.
A connection may break and come back with both ends alive: what was on its way then is lost too,
so each message names the one before it, and an outcome is kept until the sender is known to
have heard it.

Protocol (each message: a fixed head, then parts):

====  =========================  ===============================================================
 H    outlet → inlet             hello, repeated until welcomed and whenever the peer is silent
 W    inlet → outlet             welcome: incarnation, credit granted so far, last tag taken
 D    outlet → inlet             data: its tag and that of the message before, time of queueing,
                                 attempt; then the message's parts
 F    inlet → outlet             flow: credit granted so far, outcomes by tag
 B    outlet → inlet             bye: forget me
 R    inlet → outlet             refused: another wire version
====  =========================  ===============================================================

Credit is cumulative, so a repeated message does no harm.  An inlet welcomes nobody before its
stage is ready, and its stage is ready only when its own outlet has been welcomed: the first
credit that reaches a source says that the whole line is ready.
"""

import os
import struct
from collections import deque
from collections.abc import Sequence
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec
import zmq

from streamline.clock import boot_id, monotonic_ns, wall_ns
from streamline.errors import InputError, WireError
from streamline.transport.wire import WIRE_VERSION, Buffer

__all__ = ["Context", "Delivery", "Inlet", "Outlet"]

Context = zmq.Context[zmq.Socket[bytes]]
Token = TypeVar("Token")

_HEAD: Final = struct.Struct("<cQQqB")
"""Kind, tag, tag before it, time of queueing (ns, the sender's monotonic clock), attempt."""

_HELLO_EVERY_NS: Final = 200_000_000
"""How often a silent peer is asked."""

_ASK_EVERY_NS: Final = 1_000_000_000
"""How often one that talks is asked as well, while anything is unanswered."""

_MAX_MESSAGE: Final = 64 << 20
"""Largest part that a socket accepts from a peer, bytes."""


class _Hello(msgspec.Struct, frozen=True, array_like=True):
    version: int
    name: str
    boot: str
    last_tag: int
    oldest: int
    """Tag of the oldest message whose outcome has not been heard; above `last_tag` if none."""


class _Welcome(msgspec.Struct, frozen=True, array_like=True):
    incarnation: int
    boot: str
    granted: int
    seen: int
    asked: int


class _Flow(msgspec.Struct, frozen=True, array_like=True):
    granted: int
    outcomes: list[tuple[int, bytes]]


_pack = msgspec.msgpack.Encoder().encode
_read_hello = msgspec.msgpack.Decoder(_Hello).decode
_read_welcome = msgspec.msgpack.Decoder(_Welcome).decode
_read_flow = msgspec.msgpack.Decoder(_Flow).decode


class _Entry(Generic[Token]):
    """One queued or unanswered message."""

    __slots__ = ("attempt", "parts", "queued_ns", "token")

    def __init__(self, parts: Sequence[Buffer], token: Token) -> None:
        self.parts = parts
        self.token = token
        self.queued_ns = monotonic_ns()
        self.attempt = 0


class Outlet(Generic[Token]):
    """The sending end; belongs to the thread that made it.

    Parameters
    ----------
    context : zmq.Context
    address : str
        Where the inlet listens: ``inproc://…``, ``ipc://…`` or ``tcp://host:port``.
    name : str
        Says who is sending, in the peer's log.
    depth : int
        Messages that may wait here; sent ones wait at the peer.
    evict : bool
        When the queue is full: True drops its oldest message that was never sent, False leaves it
        to the owner not to offer more (`room`).
    """

    def __init__(
        self, context: Context, address: str, *, name: str, depth: int, evict: bool
    ) -> None:
        self._name = name
        self._depth = depth
        self._evict = evict
        self._waiting: deque[_Entry[Token]] = deque()
        # Sent once and lost: first to go and never evicted, for behind the peer that died with
        # them their fate may have been decided already.
        self._again: deque[_Entry[Token]] = deque()
        self._unanswered: dict[int, _Entry[Token]] = {}
        self._settled: list[tuple[Token, bytes | None]] = []
        self._tag = self._before = 0
        self._sent = self._granted = 0
        self._peer: int | None = None
        self._peer_boot = ""
        self._heard_ns = self._asked_ns = 0
        self._boot = boot_id()
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.maxmsgsize = _MAX_MESSAGE
        self.socket.immediate = True
        self.socket.routing_id = f"{name}/{os.getpid()}/{wall_ns():x}".encode()[:255]
        self.socket.reconnect_ivl = 100
        self.socket.reconnect_ivl_max = 1000
        self.socket.connect(address)

    @property
    def welcomed(self) -> bool:
        """Whether the peer is there and everything behind it is ready."""
        return self._peer is not None

    @property
    def peer_boot(self) -> str:
        """Boot of the peer's host, empty before the welcome: tells whether clocks compare."""
        return self._peer_boot

    @property
    def room(self) -> bool:
        """Whether a message may be offered without exceeding the depth."""
        return self.space > 0

    @property
    def space(self) -> int:
        """How many messages may be offered without exceeding the depth."""
        return self._depth - len(self._waiting)

    @property
    def waiting(self) -> int:
        """Messages that have not been sent, or must be sent again."""
        return len(self._waiting) + len(self._again)

    @property
    def unanswered(self) -> int:
        """Messages that have been sent and whose outcome is not known."""
        return len(self._unanswered)

    def offer(self, parts: Sequence[Buffer], token: Token, *, again: bool = False) -> None:
        """Queue a message; if that is one too many, the oldest is evicted or ValueError raised.

        The parts must not change until the message is settled.

        Parameters
        ----------
        parts : sequence of buffers
        token : Token
            Comes back with the outcome.
        again : bool
            A predecessor may have sent this message: it is not evicted, whatever comes after.
        """
        if again:
            self._again.append(_Entry(parts, token))
            return
        if not self.room:
            if not self._evict:
                msg = f"link {self._name}: offered to a full queue of {self._depth}"
                raise ValueError(msg)
            self._settled.append((self._waiting.popleft().token, None))
        self._waiting.append(_Entry(parts, token))

    def exchange(self) -> list[tuple[Token, bytes | None]]:
        """Read what the peer said, send what it has credit for; return what has been settled.

        Returns
        -------
        list of (token, outcome)
            `outcome` is what the peer answered, None for a message that was evicted here.

        Raises
        ------
        WireError
            If the peer speaks another version or nonsense.
        """
        while self.socket.poll(0):
            self._hear(self.socket.recv_multipart(copy=False))
        while self._sent < self._granted and (queue := self._again or self._waiting):
            if not self._transmit(queue[0]):
                break
            queue.popleft()
        now_ns = monotonic_ns()
        silent = now_ns - max(self._heard_ns, self._asked_ns) > _HELLO_EVERY_NS
        if silent or (self._unanswered and now_ns - self._asked_ns > _ASK_EVERY_NS):
            self._say_hello(now_ns)
        settled, self._settled = self._settled, []
        return settled

    def abandon(self) -> list[Token]:
        """Forget every message that is not settled; return their tokens, oldest first."""
        entries = [*self._unanswered.values(), *self._again, *self._waiting]
        self._unanswered.clear()
        self._again.clear()
        self._waiting.clear()
        return [entry.token for entry in entries]

    def close(self) -> None:
        """Say goodbye; what is unanswered stays unanswered."""
        if self.welcomed:
            self._send([_HEAD.pack(b"B", 0, 0, 0, 0)])
        self.socket.close(linger=200)

    def _transmit(self, entry: _Entry[Token]) -> bool:
        tag = self._tag + 1
        head = _HEAD.pack(b"D", tag, self._before, entry.queued_ns, min(entry.attempt, 255))
        if not self._send([head, *entry.parts]):
            return False
        self._tag = self._before = tag
        self._sent += 1
        self._unanswered[tag] = entry
        return True

    def _send(self, parts: Sequence[Buffer]) -> bool:
        try:
            self.socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return False
        return True

    def _say_hello(self, now_ns: int) -> None:
        self._asked_ns = now_ns
        oldest = next(iter(self._unanswered), self._tag + 1)
        body = _pack(_Hello(WIRE_VERSION, self._name, self._boot, self._tag, oldest))
        self._send([_HEAD.pack(b"H", 0, 0, 0, 0), body])

    def _hear(self, parts: Sequence[zmq.Frame]) -> None:
        self._heard_ns = monotonic_ns()
        try:
            kind = _HEAD.unpack(parts[0].bytes)[0]
            if kind == b"F":
                self._flow(_read_flow(parts[1].bytes))
            elif kind == b"W":
                self._welcome(_read_welcome(parts[1].bytes))
            elif kind == b"R":
                msg = f"link {self._name}: {parts[1].bytes.decode(errors='replace')}"
                raise WireError(msg)
        except (IndexError, struct.error, msgspec.MsgspecError) as exc:
            msg = f"link {self._name}: the receiving stage sent no valid answer: {exc}"
            raise WireError(msg) from exc

    def _flow(self, flow: _Flow) -> None:
        self._granted = max(self._granted, flow.granted)
        for tag, outcome in flow.outcomes:
            entry = self._unanswered.pop(tag, None)
            if entry is not None:
                self._settled.append((entry.token, outcome))

    def _welcome(self, welcome: _Welcome) -> None:
        if welcome.incarnation != self._peer:
            self._peer, self._peer_boot = welcome.incarnation, welcome.boot
            self._sent = self._granted = 0
            # Tags go on above the inlet's own start, so that no later message looks older.
            self._tag = max(self._tag, welcome.seen)
            self._before = welcome.seen
            self._send_again(list(self._unanswered))
        elif any(welcome.seen < tag <= welcome.asked for tag in self._unanswered):
            # What was sent since names a message before it that was lost: it is refused too.
            lost = [tag for tag in self._unanswered if tag > welcome.seen]
            self._sent -= len(lost)
            self._before = welcome.seen
            self._send_again(lost)
        self._granted = max(self._granted, welcome.granted)

    def _send_again(self, tags: Sequence[int]) -> None:
        for tag in reversed(tags):
            entry = self._unanswered.pop(tag)
            entry.attempt += 1
            self._again.appendleft(entry)


class Delivery(NamedTuple):
    """One message as received; the frame's fate is told to the sender by `Inlet.answer`."""

    peer: bytes
    tag: int
    queued_ns: int | None
    """When the sender queued it, on this host's monotonic clock; None from another host."""

    attempt: int
    """How often a receiver died or was cut off with it before."""

    parts: list[memoryview]


class _Peer:
    """What an inlet knows of one outlet."""

    __slots__ = ("dirty", "granted", "name", "outcomes", "said", "same_clock", "seen")

    def __init__(self, name: str, *, same_clock: bool, granted: int, seen: int) -> None:
        self.name = name
        self.same_clock = same_clock
        self.granted = granted
        self.seen = seen
        self.outcomes: list[tuple[int, bytes]] = []
        self.said: list[tuple[int, bytes]] = []
        self.dirty = False

    def heard_up_to(self, oldest: int) -> None:
        """Forget outcomes that the outlet has heard; the others are to be told again."""
        unheard = [(tag, outcome) for tag, outcome in self.said if tag >= oldest]
        self.outcomes, self.said = unheard + self.outcomes, []
        self.dirty = self.dirty or bool(unheard)


class Inlet:
    """The receiving end, of any number of outlets; belongs to the thread that made it.

    Parameters
    ----------
    context : zmq.Context
    address : str
        Where to listen.
    window : int
        Messages that each outlet may have sent and this stage not yet taken.

    Raises
    ------
    InputError
        If the address can't be bound.
    """

    def __init__(self, context: Context, address: str, *, window: int) -> None:
        self._window = window
        self._admitting = False
        self._peers: dict[bytes, _Peer] = {}
        self._knocking: dict[bytes, _Hello] = {}
        self._incarnation = wall_ns()
        self._boot = boot_id()
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.maxmsgsize = _MAX_MESSAGE
        self.socket.router_handover = True
        try:
            self.socket.bind(address)
        except zmq.ZMQError as exc:
            self.socket.close()
            msg = f"can't listen on {address}: {exc.strerror}; is the line running already?"
            raise InputError(msg) from exc

    @property
    def peers(self) -> int:
        """Outlets that are connected."""
        return len(self._peers)

    def admit(self) -> None:
        """Welcome outlets from now on: this stage and all behind it are ready."""
        if self._admitting:
            return
        self._admitting = True
        for identity, hello in self._knocking.items():
            self._welcome(identity, hello)
        self._knocking.clear()

    def take(self, limit: int) -> list[Delivery]:
        """Return at most *limit* messages that have arrived, never waiting; grants as many.

        Nonsense from a peer is ignored: it is never answered, so its sender counts it.
        """
        taken: list[Delivery] = []
        while len(taken) < limit and self.socket.poll(0):
            identity, *parts = self.socket.recv_multipart(copy=False)
            delivery = self._hear(identity.bytes, parts)
            if delivery is not None:
                taken.append(delivery)
        return taken

    def answer(self, delivery: Delivery, outcome: bytes) -> None:
        """Tell the sender, at the next `flush`, what became of its frame."""
        peer = self._peers.get(delivery.peer)
        if peer is not None:
            peer.outcomes.append((delivery.tag, outcome))
            peer.dirty = True

    def flush(self) -> None:
        """Send credits and outcomes that have come up since the last time."""
        for identity, peer in self._peers.items():
            if not peer.dirty:
                continue
            flow = _pack(_Flow(peer.granted, peer.outcomes))
            if self._send(identity, b"F", flow):
                peer.said += peer.outcomes
                peer.outcomes, peer.dirty = [], False

    def close(self) -> None:
        """Send what is left to say, then close."""
        self.flush()
        self.socket.close(linger=200)

    def _hear(self, identity: bytes, parts: Sequence[zmq.Frame]) -> Delivery | None:
        try:
            kind, tag, before, queued_ns, attempt = _HEAD.unpack(parts[0].bytes)
            if kind == b"H":
                self._greet(identity, _read_hello(parts[1].bytes))
                return None
        except (IndexError, struct.error, msgspec.MsgspecError):
            return None
        peer = self._peers.get(identity)
        if peer is None:
            return None
        if kind == b"B":
            del self._peers[identity]
            return None
        if kind != b"D" or before != peer.seen:
            return None
        peer.seen = tag
        peer.granted += 1
        peer.dirty = True
        when = queued_ns if peer.same_clock else None
        return Delivery(identity, tag, when, attempt, [part.buffer for part in parts[1:]])

    def _greet(self, identity: bytes, hello: _Hello) -> None:
        if hello.version != WIRE_VERSION:
            text = f"peer {hello.name} speaks version {hello.version}, this end {WIRE_VERSION}"
            self._send(identity, b"R", f"{text}; install one release everywhere".encode())
        elif self._admitting:
            self._welcome(identity, hello)
        else:
            self._knocking[identity] = hello

    def _welcome(self, identity: bytes, hello: _Hello) -> None:
        peer = self._peers.get(identity)
        if peer is None:
            self._forget(hello.name)
            same = hello.boot == self._boot
            # Starts where no other inlet's peers do: what was meant for a dead one is refused.
            start = self._incarnation
            peer = _Peer(hello.name, same_clock=same, granted=self._window, seen=start)
            self._peers[identity] = peer
        peer.heard_up_to(hello.oldest)
        body = _Welcome(self._incarnation, self._boot, peer.granted, peer.seen, hello.last_tag)
        self._send(identity, b"W", _pack(body))

    def _forget(self, name: str) -> None:
        """Drop the dead predecessor of an outlet that has been started again."""
        for identity in [i for i, peer in self._peers.items() if peer.name == name]:
            del self._peers[identity]

    def _send(self, identity: bytes, kind: bytes, body: bytes) -> bool:
        try:
            head = _HEAD.pack(kind, 0, 0, 0, 0)
            self.socket.send_multipart([identity, head, body], zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True
