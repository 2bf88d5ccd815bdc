"""One hop: credit, eviction, outcomes, and what happens when either end dies."""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from streamline.clock import boot_id, monotonic_ns
from streamline.errors import InputError, WireError
from streamline.transport import link
from streamline.transport.link import Context, Delivery, Inlet, Outlet
from streamline.transport.wire import WIRE_VERSION, Buffer
from tests.support.until import until

Settled = list[tuple[int, bytes | None]]

_numbers = count()


def free_port() -> int:
    """A TCP port of this host that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fresh_address(kind: str, folder: Path) -> str:
    """An address that nothing else uses."""
    return {
        "inproc": f"inproc://link-{next(_numbers)}",
        "ipc": f"ipc://{folder}/{next(_numbers)}.sock",
        "tcp": f"tcp://127.0.0.1:{free_port()}",
    }[kind]


@pytest.fixture(params=["inproc", "ipc", "tcp"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address of every kind that a link can have."""
    return fresh_address(str(request.param), tmp_path)


@pytest.fixture(params=["ipc", "tcp"])
def outliving(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address that a receiver can be started at again."""
    return fresh_address(str(request.param), tmp_path)


@dataclass
class Line:
    """The ends of one test's links, closed at its end whatever happened."""

    context: Context
    outlets: list[Outlet[int]] = field(default_factory=list)
    inlets: list[Inlet] = field(default_factory=list)

    def outlet(
        self, address: str, *, name: str = "left", depth: int = 100, evict: bool = False
    ) -> Outlet[int]:
        """Start a sender."""
        outlet = Outlet[int](self.context, address, name=name, depth=depth, evict=evict)
        self.outlets.append(outlet)
        return outlet

    def inlet(self, address: str, *, window: int = 4, admit: bool = True) -> Inlet:
        """Start a receiver."""
        inlet = Inlet(self.context, address, window=window)
        self.inlets.append(inlet)
        if admit:
            inlet.admit()
        return inlet

    def restart(self, address: str, *, window: int = 4) -> Inlet:
        """Start a receiver where one has just died: ZeroMQ frees an address a little later."""
        inlets: list[Inlet] = []

        def bind() -> None:
            with suppress(InputError):
                inlets.append(self.inlet(address, window=window))

        until(lambda: bool(inlets), step=bind)
        return inlets[0]

    def kill(self, inlet: Inlet) -> None:
        """End a receiver as a crash would: nothing more is said."""
        self.inlets.remove(inlet)
        inlet.socket.close(linger=0)

    def close(self) -> None:
        """End everything."""
        for outlet in self.outlets:
            outlet.close()
        for inlet in self.inlets:
            inlet.close()


@pytest.fixture
def line(context: Context) -> Iterator[Line]:
    """Makes links on a context that must terminate."""
    line = Line(context)
    yield line
    line.close()


def offer(outlet: Outlet[int], *tokens: int) -> None:
    """Offer messages that say their own token."""
    for token in tokens:
        outlet.offer([str(token).encode(), bytes(1000)], token)


def token_of(delivery: Delivery) -> int:
    """The token that the message says."""
    return int(bytes(delivery.parts[0]))


def answer_all(inlet: Inlet, limit: int = 100) -> list[int]:
    """Take what has arrived, answer each message with its own words, return the tokens."""
    tokens = []
    for delivery in inlet.take(limit):
        tokens.append(token_of(delivery))
        inlet.answer(delivery, b"seen " + bytes(delivery.parts[0]))
    inlet.flush()
    return tokens


def answers(*tokens: int) -> Settled:
    """What `answer_all` tells the sender."""
    return [(token, b"seen %d" % token) for token in tokens]


def run_until(
    happened: Callable[[], bool], *outlets: Outlet[int], receive: Callable[[], object]
) -> Settled:
    """Let both ends work until something has happened; return what was settled."""
    settled: Settled = []

    def step() -> None:
        for outlet in outlets:
            settled.extend(outlet.exchange())
        receive()

    until(happened, step=step)
    return settled


def connect(outlet: Outlet[int], inlet: Inlet) -> None:
    """Let both ends work until the sender is welcomed; it has nothing to send yet."""
    run_until(lambda: outlet.welcomed, outlet, receive=lambda: inlet.take(0) or inlet.take(1))


# --- order, credit, policy --------------------------------------------------------------------


def test_messages_arrive_in_order_and_outcomes_return_to_the_right_tokens(
    line: Line, address: str
) -> None:
    inlet, outlet = line.inlet(address), line.outlet(address)
    offer(outlet, *range(50))
    taken: list[int] = []
    settled = run_until(
        lambda: outlet.waiting + outlet.unanswered == 0 and outlet.welcomed,
        outlet,
        receive=lambda: taken.extend(answer_all(inlet)),
    )
    settled += outlet.exchange()
    assert taken == list(range(50))
    assert settled == answers(*range(50))


def test_outcomes_may_come_back_in_any_order(line: Line, address: str) -> None:
    inlet, outlet = line.inlet(address), line.outlet(address)
    offer(outlet, 0, 1, 2)
    held: list[Delivery] = []
    run_until(lambda: len(held) == 3, outlet, receive=lambda: held.extend(inlet.take(9)))
    settled: Settled = []
    for delivery in (held[1], held[2], held[0]):
        inlet.answer(delivery, bytes(delivery.parts[0]))
        inlet.flush()
        before = len(settled)
        until(
            lambda before=before: len(settled) > before,  # type: ignore[misc]
            step=lambda: settled.extend(outlet.exchange()),
        )
    assert settled == [(1, b"1"), (2, b"2"), (0, b"0")]


def test_the_sender_may_start_long_before_the_receiver(line: Line, address: str) -> None:
    outlet = line.outlet(address)
    offer(outlet, 7)
    assert outlet.exchange() == []
    inlet = line.inlet(address)
    settled = run_until(
        lambda: outlet.welcomed and not outlet.waiting + outlet.unanswered,
        outlet,
        receive=lambda: answer_all(inlet),
    )
    assert settled + outlet.exchange() == answers(7)


@pytest.mark.parametrize("window", [1, 3])
def test_no_more_is_ever_sent_than_the_receiver_has_room_for(
    line: Line, address: str, window: int
) -> None:
    inlet, outlet = line.inlet(address, window=window), line.outlet(address)
    connect(outlet, inlet)
    offer(outlet, *range(20))
    for taken in range(20):
        until(lambda n=taken: outlet.unanswered == min(20, n + window), step=outlet.exchange)  # type: ignore[misc]
        for _ in range(5):
            outlet.exchange()
            assert outlet.unanswered <= taken + window
        until(lambda: bool(inlet.take(1)), step=outlet.exchange)
        inlet.flush()


def test_credit_comes_from_taking_not_from_answering(line: Line, address: str) -> None:
    inlet, outlet = line.inlet(address, window=1), line.outlet(address)
    offer(outlet, *range(10))
    held: list[Delivery] = []

    def take() -> None:
        held.extend(inlet.take(1))
        inlet.flush()

    run_until(lambda: len(held) == 10, outlet, receive=take)
    assert (outlet.unanswered, outlet.waiting) == (10, 0)


def test_nobody_is_welcomed_before_the_receiver_admits(line: Line, address: str) -> None:
    inlet, outlet = line.inlet(address, admit=False), line.outlet(address)
    offer(outlet, 1)
    knocks = 0

    def receive() -> None:
        nonlocal knocks
        knocks += bool(inlet.socket.poll(0))
        assert inlet.take(9) == []

    run_until(lambda: knocks >= 2, outlet, receive=receive)
    assert (outlet.welcomed, outlet.waiting, inlet.peers) == (False, 1, 0)
    inlet.admit()
    taken: list[int] = []
    run_until(lambda: taken == [1], outlet, receive=lambda: taken.extend(answer_all(inlet)))
    assert outlet.welcomed


def test_a_full_queue_that_evicts_drops_exactly_the_oldest_and_tells_each_once(
    line: Line, address: str
) -> None:
    outlet = line.outlet(address, depth=3, evict=True)
    offer(outlet, *range(8))
    assert outlet.waiting == 3
    assert outlet.exchange() == [(token, None) for token in range(5)]
    inlet = line.inlet(address)
    settled = run_until(
        lambda: outlet.welcomed and not outlet.waiting + outlet.unanswered,
        outlet,
        receive=lambda: answer_all(inlet),
    )
    assert settled + outlet.exchange() == answers(5, 6, 7)


def test_what_has_been_sent_is_never_evicted(line: Line, address: str) -> None:
    inlet, outlet = line.inlet(address, window=2), line.outlet(address, depth=1, evict=True)
    connect(outlet, inlet)
    for token in (0, 1):
        offer(outlet, token)
        assert outlet.exchange() == []
    offer(outlet, 2, 3, 4)
    assert outlet.exchange() == [(2, None), (3, None)]
    settled = run_until(
        lambda: not outlet.waiting + outlet.unanswered, outlet, receive=lambda: answer_all(inlet)
    )
    assert settled + outlet.exchange() == answers(0, 1, 4)


def test_a_full_queue_that_blocks_refuses_and_loses_nothing(line: Line, address: str) -> None:
    outlet = line.outlet(address, depth=2)
    offer(outlet, 0, 1)
    assert (outlet.room, outlet.space) == (False, 0)
    with pytest.raises(ValueError, match="link left: offered to a full queue of 2"):
        offer(outlet, 2)
    assert outlet.exchange() == []
    assert outlet.abandon() == [0, 1]


def test_abandoning_gives_back_sent_and_waiting_messages_oldest_first(
    line: Line, address: str
) -> None:
    inlet, outlet = line.inlet(address, window=2), line.outlet(address)
    connect(outlet, inlet)
    offer(outlet, *range(5))
    outlet.exchange()
    assert (outlet.unanswered, outlet.waiting) == (2, 3)
    assert outlet.abandon() == [0, 1, 2, 3, 4]
    assert (outlet.unanswered, outlet.waiting) == (0, 0)


def test_an_answer_that_comes_after_the_message_was_abandoned_settles_nothing(
    line: Line, address: str
) -> None:
    inlet, outlet = line.inlet(address), line.outlet(address)
    offer(outlet, 0)
    held: list[Delivery] = []
    run_until(lambda: len(held) == 1, outlet, receive=lambda: held.extend(inlet.take(1)))
    outlet.abandon()
    inlet.answer(held[0], b"late")
    inlet.flush()
    offer(outlet, 1)
    settled = run_until(
        lambda: not outlet.waiting + outlet.unanswered, outlet, receive=lambda: answer_all(inlet)
    )
    assert settled + outlet.exchange() == answers(1)


def test_an_outcome_settles_its_message_once_however_often_it_is_told(
    line: Line, address: str
) -> None:
    inlet, outlet = line.inlet(address), line.outlet(address)
    offer(outlet, 0, 1)
    held: list[Delivery] = []
    run_until(lambda: len(held) == 2, outlet, receive=lambda: held.extend(inlet.take(9)))
    for outcome in (b"first", b"second"):
        inlet.answer(held[0], outcome)
        inlet.flush()
    inlet.answer(held[1], b"last")
    inlet.flush()
    settled = run_until(lambda: not outlet.unanswered, outlet, receive=lambda: None)
    assert settled == [(0, b"first"), (1, b"last")]


def test_pixels_arrive_as_they_were_in_as_many_parts(line: Line, address: str) -> None:
    inlet, outlet = line.inlet(address), line.outlet(address)
    parts: list[Buffer] = [b"", b"head", memoryview(bytes(range(256)) * 4096)]
    outlet.offer(parts, 1)
    held: list[Delivery] = []
    run_until(lambda: bool(held), outlet, receive=lambda: held.extend(inlet.take(1)))
    assert [bytes(part) for part in held[0].parts] == [bytes(part) for part in parts]


def test_a_delivery_says_when_it_was_queued_on_this_hosts_clock(line: Line, address: str) -> None:
    inlet, outlet = line.inlet(address), line.outlet(address)
    earliest_ns = monotonic_ns()
    offer(outlet, 0)
    latest_ns = monotonic_ns()
    held: list[Delivery] = []
    run_until(lambda: bool(held), outlet, receive=lambda: held.extend(inlet.take(1)))
    assert held[0].queued_ns is not None
    assert earliest_ns <= held[0].queued_ns <= latest_ns
    assert outlet.peer_boot == boot_id()


# --- several senders --------------------------------------------------------------------------


def test_two_senders_share_a_receiver_evenly_and_get_their_own_answers(
    line: Line, address: str
) -> None:
    inlet = line.inlet(address, window=1)
    left, right = line.outlet(address, name="left"), line.outlet(address, name="right")
    connect(left, inlet)
    connect(right, inlet)
    offer(left, *range(30))
    offer(right, *range(100, 130))
    settled: dict[str, Settled] = {"left": [], "right": []}
    order: list[int] = []

    def step() -> None:
        # The receiver is the bottleneck: it takes one message for each turn of the senders.
        settled["left"].extend(left.exchange())
        settled["right"].extend(right.exchange())
        order.extend(answer_all(inlet, 1))

    until(lambda: sum(map(len, settled.values())) == 60, step=step)
    assert settled == {"left": answers(*range(30)), "right": answers(*range(100, 130))}
    # Fair: at no time is one of them more than its window and the one being taken ahead.
    for end in range(40):
        ours = sum(token < 100 for token in order[:end])
        assert abs(2 * ours - end) <= 6


def test_a_sender_that_says_goodbye_is_forgotten(line: Line, address: str) -> None:
    inlet, outlet = line.inlet(address), line.outlet(address)
    connect(outlet, inlet)
    assert inlet.peers == 1
    line.outlets.remove(outlet)
    outlet.close()
    until(lambda: inlet.peers == 0, step=lambda: inlet.take(1))


def test_a_sender_started_again_under_its_name_takes_its_predecessors_place(
    line: Line, address: str
) -> None:
    inlet, dead = line.inlet(address), line.outlet(address)
    offer(dead, 0)
    held: list[Delivery] = []
    run_until(lambda: bool(held), dead, receive=lambda: held.extend(inlet.take(1)))
    line.outlets.remove(dead)
    dead.socket.close(linger=0)
    successor = line.outlet(address)
    connect(successor, inlet)
    assert inlet.peers == 1
    inlet.answer(held[0], b"nobody hears this")
    offer(successor, 1)
    settled = run_until(
        lambda: not successor.waiting + successor.unanswered,
        successor,
        receive=lambda: answer_all(inlet),
    )
    assert settled + successor.exchange() == answers(1)


# --- a receiver that dies ---------------------------------------------------------------------


def test_what_a_dead_receiver_left_unanswered_goes_to_its_successor_in_order(
    line: Line, outliving: str
) -> None:
    first, outlet = line.inlet(outliving, window=3), line.outlet(outliving)
    offer(outlet, *range(6))
    held: list[Delivery] = []
    run_until(lambda: len(held) == 2, outlet, receive=lambda: held.extend(first.take(1)))
    first.answer(held[0], b"seen 0")
    first.flush()
    settled = run_until(lambda: outlet.unanswered + outlet.waiting == 5, outlet, receive=list)
    assert settled == answers(0)
    sent = outlet.unanswered
    line.kill(first)
    second = line.restart(outliving, window=100)
    again: list[Delivery] = []
    run_until(lambda: len(again) == 5, outlet, receive=lambda: again.extend(second.take(100)))
    assert [token_of(d) for d in again] == [1, 2, 3, 4, 5]
    assert [d.attempt for d in again] == [1] * sent + [0] * (5 - sent)
    for delivery in again:
        second.answer(delivery, b"seen %d" % token_of(delivery))
    second.flush()
    settled = run_until(lambda: not outlet.unanswered, outlet, receive=list)
    assert settled == answers(1, 2, 3, 4, 5)


def test_a_message_says_how_many_receivers_died_with_it(line: Line, outliving: str) -> None:
    outlet = line.outlet(outliving)
    offer(outlet, 0)
    attempts = []
    for _ in range(3):
        inlet = line.restart(outliving)
        held: list[Delivery] = []
        run_until(lambda: bool(held), outlet, receive=lambda: held.extend(inlet.take(1)))  # noqa: B023
        attempts.append(held[0].attempt)
        line.kill(inlet)
    assert attempts == [0, 1, 2]


def test_messages_from_before_a_restart_are_not_taken_twice_from_one_receiver(
    line: Line, outliving: str
) -> None:
    first, outlet = line.inlet(outliving, window=2), line.outlet(outliving)
    connect(outlet, first)
    line.kill(first)
    second = line.restart(outliving, window=2)
    # The sender may still use its old credit, before or after it says hello again.
    offer(outlet, *range(8))
    taken: list[int] = []
    run_until(
        lambda: not outlet.waiting + outlet.unanswered and outlet.welcomed,
        outlet,
        receive=lambda: taken.extend(answer_all(second, 1)),
    )
    assert taken == list(range(8))


def test_what_a_dead_receiver_may_have_decided_is_sent_again_and_never_evicted(
    line: Line, outliving: str
) -> None:
    first, outlet = line.inlet(outliving, window=3), line.outlet(outliving, depth=2, evict=True)
    connect(outlet, first)
    for token in range(3):
        offer(outlet, token)
        assert outlet.exchange() == []
    offer(outlet, 3, 4)
    line.kill(first)
    second = line.restart(outliving, window=1)
    offer(outlet, 5, 6)
    settled = run_until(
        lambda: not outlet.waiting + outlet.unanswered, outlet, receive=lambda: answer_all(second)
    )
    settled += outlet.exchange()
    assert sorted(settled) == sorted([*answers(0, 1, 2), (3, None), (4, None), *answers(5, 6)])


def test_what_a_predecessor_may_have_sent_goes_first_and_is_never_evicted(
    line: Line, address: str
) -> None:
    outlet = line.outlet(address, depth=2, evict=True)
    offer(outlet, 0, 1)
    for token in (2, 3, 4):
        outlet.offer([b"%d" % token], token, again=True)
    offer(outlet, 5)
    assert outlet.waiting == 5
    inlet = line.inlet(address)
    settled = run_until(
        lambda: outlet.welcomed and not outlet.waiting + outlet.unanswered,
        outlet,
        receive=lambda: answer_all(inlet),
    )
    assert settled + outlet.exchange() == [(0, None), *answers(2, 3, 4, 1, 5)]


# --- a connection that breaks -----------------------------------------------------------------


class Wire:
    """A TCP cable between two ends that can be cut, with what is on it."""

    def __init__(self, target: str) -> None:
        self._target = ("127.0.0.1", int(target.rpartition(":")[2]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.forward = self.back = True
        """Whether bytes travel from the sender to the receiver, and back."""

    def carry(self) -> None:
        """Move what can be moved without waiting."""
        self._listener.settimeout(0.001)
        try:
            near, _ = self._listener.accept()
            far = socket.create_connection(self._target)
            for end in (near, far):
                end.settimeout(0)
            self._pairs.append((near, far))
        except TimeoutError:
            pass
        for near, far in self._pairs:
            if self.forward:
                _pour(near, far)
            if self.back:
                _pour(far, near)

    def connected(self) -> bool:
        """Whether the ends are connected."""
        return bool(self._pairs)

    def cut(self) -> None:
        """Break every connection; what was on its way is lost."""
        for pair in self._pairs:
            for end in pair:
                end.close()
        self._pairs.clear()
        self.forward = self.back = True

    def close(self) -> None:
        """End."""
        self.cut()
        self._listener.close()


def _pour(source: socket.socket, target: socket.socket) -> None:
    try:
        data = source.recv(1 << 16)
    except (BlockingIOError, ConnectionError):
        return
    target.settimeout(None)
    target.sendall(data)
    target.settimeout(0)


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A cable to a free port, where the receiver is to listen."""
    wire = Wire(f"tcp://127.0.0.1:{free_port()}")
    yield wire
    wire.close()


def target_of(wire: Wire) -> str:
    """Where the receiver at the cable's far end listens."""
    host, port = wire._target
    return f"tcp://{host}:{port}"


def test_a_message_lost_on_a_broken_connection_is_sent_again_before_younger_ones(
    line: Line, wire: Wire
) -> None:
    inlet, outlet = line.inlet(target_of(wire)), line.outlet(wire.address)
    taken: list[int] = []

    def receive() -> None:
        wire.carry()
        taken.extend(answer_all(inlet))

    settled = run_until(lambda: outlet.welcomed, outlet, receive=receive)
    wire.forward = False
    offer(outlet, 0)
    settled += run_until(lambda: outlet.unanswered == 1, outlet, receive=receive)
    wire.cut()
    # Connected again before the sender has noticed anything: the next it sends is a message.
    until(wire.connected, step=wire.carry)
    offer(outlet, 1)
    settled += run_until(lambda: not outlet.waiting + outlet.unanswered, outlet, receive=receive)
    assert sorted(settled + outlet.exchange()) == answers(0, 1)
    assert taken == [0, 1]


def test_outcomes_lost_on_a_broken_connection_are_told_again(line: Line, wire: Wire) -> None:
    inlet, outlet = line.inlet(target_of(wire)), line.outlet(wire.address)
    taken: list[int] = []

    def receive() -> None:
        wire.carry()
        taken.extend(answer_all(inlet))

    settled = run_until(lambda: outlet.welcomed, outlet, receive=receive)
    wire.back = False
    offer(outlet, 0, 1)
    settled += run_until(lambda: len(taken) == 2, outlet, receive=receive)
    wire.cut()
    offer(outlet, 2)
    settled += run_until(lambda: not outlet.waiting + outlet.unanswered, outlet, receive=receive)
    assert sorted(settled + outlet.exchange()) == answers(0, 1, 2)
    assert taken == [0, 1, 2]


# --- peers that speak something else ----------------------------------------------------------


def test_a_sender_of_another_version_is_refused_in_one_sentence(line: Line, address: str) -> None:
    inlet = line.inlet(address)
    stranger = line.context.socket(zmq.DEALER)
    stranger.connect(address)
    stranger.send_multipart([head(b"H"), packed([WIRE_VERSION + 1, "left", "", 0, 1])])
    until(lambda: bool(stranger.poll(0)), step=lambda: inlet.take(1))
    kind, sentence = stranger.recv_multipart()
    stranger.close(linger=0)
    assert kind[:1] == b"R"
    assert sentence.decode() == (
        f"peer left speaks version {WIRE_VERSION + 1}, this end {WIRE_VERSION}; "
        "install one release everywhere"
    )
    assert inlet.peers == 0


def test_a_refused_sender_raises_the_sentence(line: Line, address: str) -> None:
    stranger = line.context.socket(zmq.ROUTER)
    stranger.bind(address)
    outlet = line.outlet(address)
    until(lambda: bool(stranger.poll(0)), step=outlet.exchange)
    identity = stranger.recv_multipart()[0]
    stranger.send_multipart([identity, head(b"R"), b"install one release everywhere"])
    with pytest.raises(WireError, match="link left: install one release everywhere"):
        until(lambda: False, step=outlet.exchange)
    stranger.close(linger=0)


def head(kind: bytes, tag: int = 0) -> bytes:
    """The head of a message of the link's protocol."""
    return link._HEAD.pack(kind, tag, 0, 0, 0)


def packed(body: object) -> bytes:
    """A body of the link's protocol."""
    return msgspec.msgpack.encode(body)


INT64 = st.integers(-(2**63), 2**63 - 1)
HEADS = st.builds(head, st.sampled_from([b"H", b"D", b"B", b"W", b"F", b"R", b"X"]))
FIELDS = INT64 | st.text(max_size=5) | st.lists(st.tuples(INT64, st.binary(max_size=3)), max_size=3)
BODIES = st.lists(FIELDS, max_size=6).map(packed)
HELLOS = st.builds(
    lambda name, tag, oldest: [head(b"H"), packed([WIRE_VERSION, name, "", tag, oldest])],
    st.just("stranger") | st.text(min_size=5, max_size=9),
    INT64,
    INT64,
)
NOISE = st.lists(
    HELLOS | st.lists(st.binary(max_size=30) | HEADS | BODIES, min_size=1, max_size=4), max_size=8
)


def test_noise_from_a_stranger_does_not_disturb_a_link(line: Line, tmp_path: Path) -> None:
    address = fresh_address("ipc", tmp_path)
    inlet, outlet = line.inlet(address), line.outlet(address)
    connect(outlet, inlet)
    stranger = line.context.socket(zmq.DEALER)
    stranger.linger = 0
    stranger.connect(address)
    tokens = count()

    @given(noise=NOISE)
    def check(noise: list[list[bytes]]) -> None:
        for message in noise:
            stranger.send_multipart(message)
        token = next(tokens)
        offer(outlet, token)
        settled: Settled = []

        def step() -> None:
            settled.extend(outlet.exchange())
            for delivery in inlet.take(100):
                # A stranger that says hello properly is a peer, and may send.
                inlet.answer(
                    delivery, b"seen " + bytes(delivery.parts[0]) if delivery.parts else b""
                )
            inlet.flush()

        until(lambda: bool(settled), step=step)
        assert settled == answers(token)

    try:
        check()
    finally:
        stranger.close()


@given(noise=NOISE)
def test_noise_from_the_receivers_side_is_ignored_or_a_wire_error(noise: list[list[bytes]]) -> None:
    context = zmq.Context()
    address = fresh_address("inproc", Path())
    stranger = context.socket(zmq.ROUTER)
    stranger.bind(address)
    outlet = Outlet[int](context, address, name="left", depth=3, evict=False)
    try:
        outlet.offer([b"x"], 1)
        outlet.exchange()
        until(lambda: bool(stranger.poll(0)))
        identity = stranger.recv_multipart()[0]
        for message in noise:
            stranger.send_multipart([identity, *message])
            try:
                assert outlet.exchange() == []
            except WireError as exc:
                assert str(exc).startswith("link left: ")  # noqa: PT017 - not all noise is told
        assert outlet.waiting + outlet.unanswered == 1
    finally:
        outlet.close()
        stranger.close(linger=0)
        context.term()


# ZeroMQ takes an ipc path over from a living socket: there it is the line's lock that protects.
@pytest.mark.parametrize("kind", ["inproc", "tcp"])
def test_an_address_in_use_is_refused_in_one_sentence(
    line: Line, kind: str, tmp_path: Path
) -> None:
    address = fresh_address(kind, tmp_path)
    line.inlet(address)
    with pytest.raises(InputError, match=rf"can't listen on {address}: .*; is the line running"):
        line.inlet(address)


def test_an_address_that_is_not_of_this_host_is_refused_in_one_sentence(line: Line) -> None:
    with pytest.raises(InputError, match=r"can't listen on tcp://192\.0\.2\.1:9"):
        line.inlet("tcp://192.0.2.1:9")


# --- the books close, whatever happens --------------------------------------------------------


class Hop(RuleBasedStateMachine):
    """Any sequence of what the two ends of a link and fate can do.

    The truth is counted here: what was offered is answered, evicted, waiting or unanswered, and
    nothing is settled twice.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.address = f"ipc://{self.folder.name}/s"
        self.context: Context = zmq.Context()
        self.line = Line(self.context)
        self.offered = 0
        self.settled: Settled = []
        self.held: list[Delivery] = []
        self.taken: list[list[int]] = []

    @initialize(depth=st.integers(1, 4), window=st.integers(1, 3), evict=st.booleans())
    def start(self, depth: int, window: int, evict: bool) -> None:  # noqa: FBT001 - drawn
        self.depth, self.window, self.evict = depth, window, evict
        self.outlet = self.line.outlet(self.address, depth=depth, evict=evict)
        self.new_receiver()

    def new_receiver(self) -> None:
        self.inlet = self.line.inlet(self.address, window=self.window)
        self.held.clear()
        self.taken.append([])

    @rule(n=st.integers(1, 5))
    def offer(self, n: int) -> None:
        for _ in range(n):
            if self.evict or self.outlet.room:
                offer(self.outlet, self.offered)
                self.offered += 1

    @rule()
    def exchange(self) -> None:
        self.settled += self.outlet.exchange()

    @rule(limit=st.integers(1, 4))
    def take(self, limit: int) -> None:
        deliveries = self.inlet.take(limit)
        assert len(deliveries) <= limit
        self.held += deliveries
        self.taken[-1] += [token_of(d) for d in deliveries]

    @rule(which=st.integers(0, 11))
    def answer(self, which: int) -> None:
        # What has arrived by now is up to the sockets, so nothing may be drawn from it.
        if not self.held:
            return
        delivery = self.held.pop(which % len(self.held))
        self.inlet.answer(delivery, b"seen %d" % token_of(delivery))

    @rule()
    def flush(self) -> None:
        self.inlet.flush()

    @rule()
    def work(self) -> None:
        """Let both ends work for a moment, as they do between any two events."""
        for _ in range(3):
            self.exchange()
            self.inlet.socket.poll(5)
            self.take(1)
            self.flush()
            self.outlet.socket.poll(5)

    @precondition(lambda self: len(self.taken) < 4)
    @rule()
    def restart_the_receiver(self) -> None:
        self.line.kill(self.inlet)
        self.new_receiver()

    @invariant()
    def everything_offered_is_accounted_for(self) -> None:
        if self.taken:
            held = self.outlet.waiting + self.outlet.unanswered
            # What has been evicted is told by the next exchange.
            untold = len(self.outlet._settled)
            assert self.offered == len(self.settled) + untold + held

    @invariant()
    def nothing_is_settled_twice(self) -> None:
        tokens = [token for token, _ in self.settled]
        assert len(set(tokens)) == len(tokens)

    @invariant()
    def answers_belong_to_their_tokens(self) -> None:
        assert all(o is None or o == b"seen %d" % token for token, o in self.settled)

    @invariant()
    def what_a_receiver_has_taken_is_never_evicted(self) -> None:
        taken = {token for tokens in self.taken for token in tokens}
        assert not taken & {token for token, outcome in self.settled if outcome is None}

    @invariant()
    def each_receiver_takes_messages_in_order_and_once(self) -> None:
        assert all(tokens == sorted(set(tokens)) for tokens in self.taken)

    def teardown(self) -> None:
        """Whatever has happened, the link drains."""
        try:
            if self.taken:
                self.drain()
        finally:
            self.line.close()
            self.context.term()
            self.folder.cleanup()

    def drain(self) -> None:
        def step() -> None:
            self.exchange()
            self.take(9)
            for delivery in self.held:
                self.inlet.answer(delivery, b"seen %d" % token_of(delivery))
            self.held.clear()
            self.flush()

        until(lambda: len(self.settled) == self.offered, step=step)
        assert sorted(token for token, _ in self.settled) == list(range(self.offered))
        assert self.outlet.waiting + self.outlet.unanswered == 0
        if not self.evict:
            assert all(outcome is not None for _, outcome in self.settled)


TestHop = Hop.TestCase
TestHop.settings = settings(max_examples=30, stateful_step_count=25)
