"""One hop between two stages: bounded, counted, and answered frame by frame.

Plain ZeroMQ queues can't say what they hold or drop their oldest message, so the sending end
(`Outlet`) keeps the queue itself and sends only what the receiving end (`Inlet`) has granted
credit for.  The receiver answers each message once the fate of its frame is decided, which may
be several stages further on: until then the sender knows it as unanswered.  What a dead peer
lost is therefore exactly what it has not answered, and a drained link has nothing unanswered.

A connection may break, or be cut without anybody noticing, with both ends alive: what was on its
way then is lost too.  So each message names the one before it, an inlet accepts no other, and an
outlet that learns of a gap sends everything since once more under the same tags; an outcome is
kept until the sender is known to have heard it.  Whatever arrives late or twice, over a
connection that was thought dead, is not the message that is expected next.

Hosts have clocks of their own.  An outlet compares its clock with its inlet's by the time stamps
of hello and welcome, and says with each message how they stand, so that every stage can have the
times in a message on its own clock, with a bound of their error.

An inlet welcomes nobody before its stage is ready, and its stage is ready only when its own
outlet has been welcomed: the first credit that reaches a source says that the whole line is
ready.
"""

import os
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

import zmq

from streamline.clock import SAME_CLOCK, UNKNOWN_CLOCK, Shift, clock_name, monotonic_ns, wall_ns
from streamline.errors import InputError, WireError
from streamline.transport import protocol
from streamline.transport.clocks import ClockComparison
from streamline.transport.curve import Door, Knocker, Lock
from streamline.transport.protocol import DataHead, Flow, Hello, Welcome
from streamline.transport.refusals import Refusals, printable
from streamline.transport.sockets import Context, prepare, readable, send
from streamline.transport.wire import WIRE_VERSION, Buffer

__all__ = ["MOST_UNANSWERED", "Abandoned", "Context", "Delivery", "Inlet", "Outlet", "PeerState"]

Token = TypeVar("Token")

MOST_UNANSWERED: Final = 500
"""Messages that an outlet sends while one of them has no answer: whoever remembers what it has
decided of as many knows again what may be sent once more."""

_HELLO_EVERY_NS: Final = 200_000_000
"""How often a silent peer is asked."""

_ASK_EVERY_NS: Final = 1_000_000_000
"""How often one that talks is asked as well."""

_COMPARE_EVERY_NS: Final = 50_000_000
"""The same while its clock is not known well."""

_GOOD_ERROR_NS: Final = 1_000_000
"""A clock known that well is compared at leisure."""

_MOST_PEERS: Final = 1024
"""Outlets that an inlet follows: whoever comes under ever new names does not fill its memory."""

_MOST_SAID: Final = 2 * MOST_UNANSWERED
"""Outcomes that are kept for an outlet that may not have heard them.  Since that of its oldest
message without an answer at most those of the messages around it have been told."""

_SILENT_NS: Final = 3_000_000_000
"""A peer that has said nothing for this long has vanished."""

_NEVER_NS: Final = -(1 << 62)
"""Long before every time of a clock that may have begun just now, with its host."""

_MOST_WORDS: Final = 300
"""Bytes of a refusal that are told: they are the peer's own words."""

_AT_ONCE: Final = 1024
"""Messages read in one go: whoever floods an inlet does not keep its stage from working."""


class PeerState(NamedTuple):
    """What one end of a link knows of the other."""

    up: bool
    """Whether it has been heard lately."""

    shift: Shift
    """From the outlet's clock to the inlet's."""


class Abandoned(NamedTuple, Generic[Token]):
    """Messages that an outlet has forgotten before they were settled, oldest first."""

    sent: list[Token]
    """By this outlet or a predecessor: what became of them may have been decided."""

    unsent: list[Token]


class _Entry(Generic[Token]):
    """One queued or unanswered message."""

    __slots__ = ("attempt", "before", "parts", "queued_ns", "token")

    def __init__(self, parts: Sequence[Buffer], token: Token) -> None:
        self.parts = parts
        self.token = token
        self.queued_ns = monotonic_ns()
        self.attempt = 0
        self.before = 0


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
    lock : Lock, optional
        Of a link to another host.
    refusals : Refusals, optional
        Told of answers that are none.
    """

    def __init__(  # noqa: PLR0913 - each is something of its own
        self,
        context: Context,
        address: str,
        *,
        name: str,
        depth: int,
        evict: bool,
        lock: Lock | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._name = name
        self._refusals = Refusals(name) if refusals is None else refusals
        self._depth = depth
        self._evict = evict
        self._waiting: deque[_Entry[Token]] = deque()
        # Sent once and lost with a receiver: first to go and never evicted, for behind the peer
        # that died with them their fate may have been decided already.
        self._again: deque[_Entry[Token]] = deque()
        self._unanswered: dict[int, _Entry[Token]] = {}
        # Tags of unanswered messages that were lost on their way to this receiver.
        self._lost: deque[int] = deque()
        self._settled: list[tuple[Token, bytes | None]] = []
        self._tag = self._before = 0
        self._sent = self._granted = 0
        self._start: int | None = None
        self._heard_ns = self._asked_ns = _NEVER_NS
        self._born_ns = wall_ns()
        self._comparison = ClockComparison()
        self._same_clock = False
        self.socket = context.socket(zmq.DEALER)
        self.socket.maxmsgsize = protocol.MAX_MESSAGE
        self.socket.immediate = True
        self.socket.routing_id = f"{name}/{os.getpid()}/{self._born_ns:x}".encode()[:255]
        prepare(self.socket, address)
        if lock is not None:
            lock.fit(self.socket)
        self._knocker = None if lock is None else Knocker(self.socket, address)
        self.socket.connect(address)

    @property
    def welcomed(self) -> bool:
        """Whether the peer was there once and everything behind it was ready."""
        return self._start is not None

    @property
    def state(self) -> PeerState:
        """What is known of the peer now."""
        now_ns = monotonic_ns()
        up = self.welcomed and now_ns - self._heard_ns < _SILENT_NS
        return PeerState(up, self._shift(now_ns))

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
        """Messages that have not been sent, or must be sent to another receiver."""
        return len(self._waiting) + len(self._again)

    @property
    def unanswered(self) -> int:
        """Messages that have been sent and whose outcome is not known."""
        return len(self._unanswered)

    @property
    def _may_send(self) -> bool:
        """Whether there is credit, and the oldest message without an answer is not too old."""
        oldest = next(iter(self._unanswered), self._tag + 1)
        return self._sent < self._granted and self._tag + 1 - oldest < MOST_UNANSWERED

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

    def exchange(self, *, spoken: bool = True) -> list[tuple[Token, bytes | None]]:
        """Read what the peer said, send what it has credit for; return what has been settled.

        Parameters
        ----------
        spoken : bool
            Whether the peer may have said something: False where a poller has just told otherwise.

        Returns
        -------
        list of (token, outcome)
            `outcome` is what the peer answered, None for a message that was evicted here.

        Raises
        ------
        WireError
            If the peer speaks another version.
        """
        while spoken and readable(self.socket):
            self._hear(self.socket.recv_multipart(copy=False))
        self._repeat_lost()
        self.flush()
        now_ns = monotonic_ns()
        if self._must_ask(now_ns):
            self._say_hello(now_ns)
        settled, self._settled = self._settled, []
        return settled

    def flush(self) -> None:
        """Send what the peer is known to have credit for, so that a burst need not be queued."""
        while self._may_send and (queue := self._again or self._waiting):
            if not self._transmit(queue[0]):
                break
            queue.popleft()

    def abandon(self) -> Abandoned[Token]:
        """Forget every message that is not settled; return their tokens."""
        sent = [entry.token for entry in (*self._unanswered.values(), *self._again)]
        unsent = [entry.token for entry in self._waiting]
        self._unanswered.clear()
        self._again.clear()
        self._waiting.clear()
        return Abandoned(sent, unsent)

    def close(self) -> None:
        """Say goodbye; what is unanswered stays unanswered."""
        if self.welcomed:
            send(self.socket, [protocol.BYE])
        self.socket.close(linger=200)

    def _repeat_lost(self) -> None:
        while self._lost:
            tag = self._lost[0]
            entry = self._unanswered.get(tag)
            if entry is not None and not self._send_data(tag, entry):
                return
            self._lost.popleft()

    def _transmit(self, entry: _Entry[Token]) -> bool:
        tag = self._tag + 1
        entry.before = self._before
        if self._lost or not self._send_data(tag, entry):
            return False
        self._tag = self._before = tag
        self._sent += 1
        self._unanswered[tag] = entry
        return True

    def _send_data(self, tag: int, entry: _Entry[Token]) -> bool:
        shift = self._shift(monotonic_ns())
        head = DataHead(tag, entry.before, entry.queued_ns, entry.attempt, shift)
        return send(self.socket, [protocol.write_data_head(head), *entry.parts])

    def _must_ask(self, now_ns: int) -> bool:
        since_ns = now_ns - self._asked_ns
        if min(since_ns, now_ns - self._heard_ns) > _HELLO_EVERY_NS:
            return True
        error_ns = self._shift(now_ns).error_ns
        vague = self.welcomed and (error_ns is None or error_ns > _GOOD_ERROR_NS)
        return since_ns > (_COMPARE_EVERY_NS if vague else _ASK_EVERY_NS)

    def _say_hello(self, now_ns: int) -> None:
        shift = self._shift(now_ns)
        hello = Hello(
            version=WIRE_VERSION,
            name=self._name,
            clock=clock_name(),
            born_ns=self._born_ns,
            last_tag=self._tag,
            oldest=next(iter(self._unanswered), self._tag + 1),
            asked_ns=now_ns,
            shift_ns=shift.ns,
            error_ns=-1 if shift.error_ns is None else shift.error_ns,
        )
        # What nobody is connected to take is said again at once: a line is only waiting for it.
        if send(self.socket, [protocol.HELLO, protocol.write(hello)]):
            self._asked_ns = now_ns
        elif self._knocker is not None:
            self._knocker.knock_if_due()

    def _hear(self, parts: Sequence[zmq.Frame]) -> None:
        """Take in what the peer said; what is no answer is no sign of life either."""
        heard_ns = monotonic_ns()
        try:
            kind = bytes(parts[0].buffer[:1])
            if kind == protocol.FLOW:
                self._flow(protocol.read_flow(parts[1].bytes))
            elif kind == protocol.WELCOME:
                self._welcome(protocol.read_welcome(parts[1].bytes), heard_ns)
            elif kind == protocol.REFUSED:
                why = printable(parts[1].bytes[:_MOST_WORDS].decode(errors="replace"))
                msg = f"link {self._name}: {why}"
                raise WireError(msg)
            else:
                self._refusals.note("the receiving end", f"a message of no kind, {kind!r}")
                return
        except protocol.NONSENSE as exc:
            self._refusals.note("the receiving end", str(exc))
            return
        self._heard_ns = heard_ns

    def _flow(self, flow: Flow) -> None:
        self._granted = max(self._granted, flow.granted)
        for tag, outcome in flow.outcomes:
            entry = self._unanswered.pop(tag, None)
            if entry is not None:
                self._settled.append((entry.token, outcome))

    def _welcome(self, welcome: Welcome, heard_ns: int) -> None:
        if welcome.start != self._start:
            self._meet(welcome)
        elif any(welcome.seen < tag <= welcome.last_tag for tag in self._unanswered):
            self._mend(welcome.seen)
        self._granted = max(self._granted, welcome.granted)
        self._comparison.add(asked_ns=welcome.asked_ns, told_ns=welcome.told_ns, heard_ns=heard_ns)

    def _meet(self, welcome: Welcome) -> None:
        """Begin with a receiver that knows nothing of what the one before was sent."""
        self._start = welcome.start
        self._same_clock = welcome.clock == clock_name()
        self._comparison = ClockComparison()
        self._sent = self._granted = 0
        # Tags go on above the acquaintance's start, so that no later message looks older.
        self._tag = max(self._tag, welcome.seen)
        self._before = welcome.seen
        entries = list(self._unanswered.values())
        for entry in entries:
            entry.attempt += 1
        self._again.extendleft(reversed(entries))
        self._unanswered.clear()
        self._lost.clear()

    def _mend(self, seen: int) -> None:
        """Send everything again that this receiver lacks, in order and under the same tags.

        What was sent since the gap names a message before it that was lost: it is refused too.
        """
        self._lost = deque(tag for tag in self._unanswered if tag > seen)
        before = seen
        for tag in self._lost:
            self._unanswered[tag].before = before
            before = tag
        self._before = before

    def _shift(self, now_ns: int) -> Shift:
        return SAME_CLOCK if self._same_clock else self._comparison.shift(now_ns)


class Delivery(NamedTuple):
    """One message as received; the frame's fate is told to the sender by `Inlet.answer`."""

    peer: bytes
    tag: int
    queued_ns: int
    """When the sender queued it, on this host's clock, as well as `shift` is known."""

    shift: Shift
    """From the sender's clock to this host's."""

    attempt: int
    """How often a receiver died with it before."""

    parts: list[memoryview]


class _Peer:
    """What an inlet knows of one outlet."""

    __slots__ = (
        "accepted",
        "born_ns",
        "dirty",
        "granted",
        "heard_ns",
        "name",
        "outcomes",
        "said",
        "seen",
        "shift",
        "start",
        "told",
    )

    def __init__(self, hello: Hello, *, start: int, granted: int) -> None:
        self.name = hello.name
        self.born_ns = hello.born_ns
        # Starts where no other acquaintance does: what was meant for a dead inlet is refused.
        self.start = self.seen = start
        self.granted = self.told = granted
        self.accepted = 0
        self.shift = UNKNOWN_CLOCK
        self.heard_ns = 0
        self.outcomes: list[tuple[int, bytes]] = []
        self.said: list[tuple[int, bytes]] = []
        self.dirty = False

    def note(self, hello: Hello) -> None:
        """Take in a hello; outcomes that the outlet has not heard are to be told again."""
        self.shift = hello.shift
        unheard = [(tag, outcome) for tag, outcome in self.said if tag >= hello.oldest]
        self.outcomes, self.said = unheard + self.outcomes, []
        self.dirty = self.dirty or bool(unheard)

    def accepts(self, head: DataHead) -> bool:
        """Whether a message is the one that comes next, and there is credit for it."""
        return head.before == self.seen and self.accepted < self.granted


class Inlet:
    """The receiving end, of any number of outlets; belongs to the thread that made it.

    Parameters
    ----------
    context : zmq.Context
    address : str
        Where to listen.
    window : int
        Messages that each outlet may have sent and this stage not yet taken.
    largest : int
        Larger parts of a message are not taken in, and end their connection, bytes.
    door : Door, optional
        Of a link from other hosts.
    refusals : Refusals, optional
        Told of messages that are none.

    Raises
    ------
    InputError
        If the address can't be bound.
    """

    def __init__(
        self,
        context: Context,
        address: str,
        *,
        window: int,
        largest: int = protocol.MAX_MESSAGE,
        door: Door | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._refusals = Refusals(address) if refusals is None else refusals
        self._window = window
        # A message of its own for every credit would cost more than the frame's own: the other
        # half of them lasts until the peer has heard of these.
        self._worth_telling = max(1, window // 2)
        self._admitting = False
        # Whether all that has arrived was read since the last exchange.
        self._has_read = False
        self._peers: dict[bytes, _Peer] = {}
        self._knocking: dict[bytes, Hello] = {}
        self._arrived: deque[Delivery] = deque()
        self._start = 0
        self.socket = context.socket(zmq.ROUTER)
        self.socket.maxmsgsize = largest
        self.socket.router_handover = True
        prepare(self.socket, address)
        if door is not None:
            door.fit(self.socket)
        try:
            self.socket.bind(address)
        except zmq.ZMQError as exc:
            self.socket.close()
            msg = f"can't listen on {address}: {exc.strerror}; is the line running already?"
            raise InputError(msg) from exc

    @property
    def waiting(self) -> int:
        """Messages that have arrived and were not taken: no event on the socket tells of them."""
        return len(self._arrived)

    def peers(self) -> Mapping[str, PeerState]:
        """Return what is known of each outlet, by its name."""
        now_ns = monotonic_ns()
        return {
            peer.name: PeerState(now_ns - peer.heard_ns < _SILENT_NS, peer.shift)
            for peer in self._peers.values()
        }

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

        Nonsense from a peer is never answered, so a stage that sent it counts it too.
        """
        if len(self._arrived) < limit:
            self._read()
        taken = [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]
        for delivery in taken:
            peer = self._peers.get(delivery.peer)
            if peer is not None:
                peer.granted += 1
                peer.dirty |= peer.granted - peer.told >= self._worth_telling
        return taken

    def answer(self, delivery: Delivery, outcome: bytes) -> None:
        """Tell the sender, at the next `exchange`, what became of its frame."""
        peer = self._peers.get(delivery.peer)
        if peer is not None:
            peer.outcomes.append((delivery.tag, outcome))
            peer.dirty = True

    def exchange(self) -> None:
        """Read what has arrived; send credits and outcomes that have come up since the last time.

        Call it however busy the stage is: peers take one that says nothing for vanished.  Where
        `take` has just read everything, there is nothing to be read again.
        """
        if not self._has_read:
            self._read()
        self._has_read = False
        self.tell()

    def tell(self) -> None:
        """Send credits and outcomes without hearing anybody, while nothing more can be taken.

        Credit goes along with outcomes, and by itself once half of the window can be sent anew.
        """
        for identity, peer in self._peers.items():
            if not peer.dirty:
                continue
            flow = protocol.write(Flow(peer.granted, peer.outcomes))
            if send(self.socket, [identity, protocol.FLOW, flow]):
                peer.said += peer.outcomes
                del peer.said[:-_MOST_SAID]
                peer.outcomes, peer.dirty, peer.told = [], False, peer.granted

    def close(self) -> None:
        """Send what is left to say, then close."""
        self.exchange()
        # At once, so that the next can listen there: closing is done in ZeroMQ's own good time.
        self.socket.unbind(self.socket.get_string(zmq.LAST_ENDPOINT))
        self.socket.close(linger=200)

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            if not readable(self.socket):
                self._has_read = True
                return
            identity, *parts = self.socket.recv_multipart(copy=False)
            self._hear(identity.bytes, parts)

    def _hear(self, identity: bytes, parts: Sequence[zmq.Frame]) -> None:
        try:
            kind = bytes(parts[0].buffer[:1])
            if kind == protocol.HELLO:
                self._greet(identity, parts[1].bytes)
            elif kind == protocol.DATA:
                head = protocol.read_data_head(parts[0].bytes)
                self._accept(identity, head, parts[1:])
            elif kind == protocol.BYE:
                self._peers.pop(identity, None)
                self._knocking.pop(identity, None)
            else:
                self._refuse(identity, f"a message of no kind, {kind!r}")
        except protocol.NONSENSE as exc:
            self._refuse(identity, str(exc))

    def _refuse(self, identity: bytes, why: str) -> None:
        self._refusals.note(identity.split(b"/")[0].decode(errors="replace"), why)

    def _accept(self, identity: bytes, head: DataHead, parts: Sequence[zmq.Frame]) -> None:
        peer = self._peers.get(identity)
        if peer is None:
            return
        peer.heard_ns = monotonic_ns()
        if not peer.accepts(head):
            return
        peer.seen = head.tag
        peer.accepted += 1
        queued_ns, shift = head.queued_ns + head.shift.ns, head.shift
        views = [part.buffer for part in parts]
        self._arrived.append(Delivery(identity, head.tag, queued_ns, shift, head.attempt, views))

    def _greet(self, identity: bytes, body: bytes) -> None:
        greeting = protocol.read_greeting(body)
        if greeting.version != WIRE_VERSION:
            text = f"peer {greeting.name} speaks version {greeting.version}, this end "
            text += f"{WIRE_VERSION}; install one release everywhere"
            send(self.socket, [identity, protocol.REFUSED, text.encode()])
            self._refuse(identity, text)
            return
        hello = protocol.read_hello(body)
        if not self._has_room(identity):
            return
        if self._admitting:
            self._welcome(identity, hello)
        else:
            self._knocking[identity] = hello

    def _welcome(self, identity: bytes, hello: Hello) -> None:
        now_ns = monotonic_ns()
        peer = self._peers.get(identity)
        if peer is None:
            if not self._replaces(hello, now_ns):
                return
            self._start = max(wall_ns(), self._start + 1)
            peer = _Peer(hello, start=self._start, granted=self._window)
            self._peers[identity] = peer
        peer.heard_ns = now_ns
        peer.note(hello)
        body = Welcome(
            start=peer.start,
            clock=clock_name(),
            granted=peer.granted,
            seen=peer.seen,
            last_tag=hello.last_tag,
            asked_ns=hello.asked_ns,
            told_ns=now_ns,
        )
        send(self.socket, [identity, protocol.WELCOME, protocol.write(body)])

    def _has_room(self, identity: bytes) -> bool:
        """Whether an outlet is followed; for a new one, one that has vanished may be forgotten."""
        if identity in self._peers or identity in self._knocking:
            return True
        if len(self._peers) + len(self._knocking) < _MOST_PEERS:
            return True
        vanished = [
            known
            for known, peer in self._peers.items()
            if monotonic_ns() - peer.heard_ns > _SILENT_NS
        ]
        if vanished:
            del self._peers[min(vanished, key=lambda known: self._peers[known].heard_ns)]
        return bool(vanished)

    def _replaces(self, hello: Hello, now_ns: int) -> bool:
        """Whether an outlet takes the place of one of its name, which is forgotten then.

        One that is older than an outlet which talks is dead, and what it said has come late.
        """
        for identity, peer in list(self._peers.items()):
            if peer.name != hello.name:
                continue
            if hello.born_ns < peer.born_ns and now_ns - peer.heard_ns < _SILENT_NS:
                return False
            del self._peers[identity]
        return True
