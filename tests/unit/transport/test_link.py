"""One hop: credit, eviction, outcomes, and what happens when either end dies."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import msgspec
import pytest
import zmq
from hypothesis import example, given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from streamline.clock import SAME_CLOCK, monotonic_ns
from streamline.errors import InputError, WireError
from streamline.transport import link, protocol
from streamline.transport.link import MOST_UNANSWERED, Context, Delivery, Inlet, Outlet
from streamline.transport.protocol import DATA, DataHead, write_data_head
from streamline.transport.refusals import Refusals
from streamline.transport.wire import WIRE_VERSION, Buffer
from tests.support.links import Cable, Line, Settled, free_port, offer, token_of
from tests.support.until import until

_numbers = count()


def fresh_address(kind: str, folder: Path) -> str:
    """An address that nothing else uses."""
    return {
        "inproc": f"inproc://link-{next(_numbers)}",
        "ipc": f"ipc://{folder}/{next(_numbers)}.sock",
        "tcp": f"tcp://127.0.0.1:{free_port()}",
        "ipv6": f"tcp://[::1]:{free_port()}",
    }[kind]


@pytest.fixture(params=["inproc", "ipc", "tcp"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address of every kind that a link can have."""
    return fresh_address(str(request.param), tmp_path)


@pytest.fixture(params=["ipc", "tcp"])
def outliving(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address that a receiver can be started at again."""
    return fresh_address(str(request.param), tmp_path)


@pytest.fixture
def line(context: Context) -> Iterator[Line]:
    """Makes links on a context that must terminate."""
    line = Line(context)
    yield line
    line.close()


def answer_all(inlet: Inlet, limit: int = 100) -> list[int]:
    """Take what has arrived, answer each message with its own words, return the tokens."""
    tokens = []
    for delivery in inlet.take(limit):
        tokens.append(token_of(delivery))
        inlet.answer(delivery, b"seen " + bytes(delivery.parts[0]))
    inlet.exchange()
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


def asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a sender say hello to a receiver once: these are far longer than a test may take."""
    for how_often in ("_HELLO_EVERY_NS", "_ASK_EVERY_NS"):
        monkeypatch.setattr(link, how_often, 300_000_000_000)


# --- order, credit, policy --------------------------------------------------------------------


def test_a_flush_sends_what_there_is_credit_for_before_the_peer_is_heard_again(
    address: str, line: Line
) -> None:
    inlet = line.inlet(address, window=2)
    outlet = line.outlet(address, depth=4)
    inlet.admit()
    connect(outlet, inlet)
    for token in range(3):
        offer(outlet, token)
        outlet.flush()
    assert (outlet.unanswered, outlet.waiting) == (2, 1)
    arrived: list[int] = []
    until(lambda: len(arrived) == 2, step=lambda: arrived.extend(answer_all(inlet)))
    assert arrived == [0, 1]


def test_who_knocked_before_anybody_listened_is_heard_as_soon_as_somebody_does(
    outliving: str, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks_once(monkeypatch)  # Knocking in vain does not count.
    outlet = line.outlet(outliving)
    outlet.exchange()
    connect(outlet, line.inlet(outliving))


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
        inlet.exchange()
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
        inlet.exchange()


def test_credit_comes_from_taking_not_from_answering(line: Line, address: str) -> None:
    inlet, outlet = line.inlet(address, window=1), line.outlet(address)
    offer(outlet, *range(10))
    held: list[Delivery] = []

    def take() -> None:
        held.extend(inlet.take(1))
        inlet.exchange()

    run_until(lambda: len(held) == 10, outlet, receive=take)
    assert (outlet.unanswered, outlet.waiting) == (10, 0)


def test_credit_is_told_by_itself_once_it_is_half_of_the_window(
    line: Line, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks_once(monkeypatch)  # So what comes is told of the receiver's own accord.
    inlet, outlet = line.inlet(address, window=8), line.outlet(address)
    connect(outlet, inlet)
    offer(outlet, *range(20))
    held: list[Delivery] = []
    run_until(
        lambda: len(held) == 3, outlet, receive=lambda: held.extend(inlet.take(3 - len(held)))
    )
    inlet.exchange()
    assert not outlet.socket.poll(50)
    held += inlet.take(1)
    inlet.exchange()
    assert outlet.socket.poll(30_000)
    outlet.exchange()
    assert outlet.unanswered == 8 + 4


def test_no_more_is_sent_after_a_message_without_an_answer_than_is_remembered_of(
    line: Line, address: str
) -> None:
    inlet = line.inlet(address, window=2000)
    outlet = line.outlet(address, depth=2000)
    offer(outlet, *range(1500))
    held: list[Delivery] = []

    def take() -> None:
        for delivery in inlet.take(2000):
            if len(held) != 7:
                inlet.answer(delivery, b"")  # All but the eighth.
            held.append(delivery)
        inlet.exchange()

    last = 7 + MOST_UNANSWERED
    run_until(lambda: len(held) == last and outlet.unanswered == 1, outlet, receive=take)
    for _ in range(5):
        outlet.exchange()
        take()
    assert len(held) == last
    inlet.answer(held[7], b"")
    run_until(lambda: len(held) == 1500 and not outlet.unanswered, outlet, receive=take)
    assert [token_of(delivery) for delivery in held] == list(range(1500))


def test_nobody_is_welcomed_before_the_receiver_admits(line: Line, address: str) -> None:
    inlet, outlet = line.inlet(address, admit=False), line.outlet(address)
    offer(outlet, 1)
    knocks = 0

    def receive() -> None:
        nonlocal knocks
        knocks += bool(inlet.socket.poll(0))
        assert inlet.take(9) == []

    run_until(lambda: knocks >= 2, outlet, receive=receive)
    assert (outlet.welcomed, outlet.waiting, len(inlet.peers())) == (False, 1, 0)
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
    assert outlet.abandon() == ([], [0, 1])


def test_abandoning_gives_back_what_was_sent_and_what_was_not_oldest_first(
    line: Line, address: str
) -> None:
    inlet, outlet = line.inlet(address, window=2), line.outlet(address)
    connect(outlet, inlet)
    offer(outlet, *range(5))
    outlet.exchange()
    assert (outlet.unanswered, outlet.waiting) == (2, 3)
    assert outlet.abandon() == ([0, 1], [2, 3, 4])
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
    inlet.exchange()
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
        inlet.exchange()
    inlet.answer(held[1], b"last")
    inlet.exchange()
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
    assert earliest_ns <= held[0].queued_ns <= latest_ns
    assert held[0].shift == outlet.state.shift == SAME_CLOCK


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
    assert len(inlet.peers()) == 1
    line.outlets.remove(outlet)
    outlet.close()
    until(lambda: not inlet.peers(), step=lambda: inlet.take(1))


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
    assert len(inlet.peers()) == 1
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
    first.exchange()
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
    second.exchange()
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
    # All three are to be sent again, and there is room for one: the others wait, first in line.
    run_until(lambda: outlet.unanswered == 1, outlet, receive=second.exchange)
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


@pytest.fixture
def cable() -> Iterator[Cable]:
    """A cable to a free port, where the receiver is to listen."""
    cable = Cable(("127.0.0.1", free_port()))
    yield cable
    cable.close()


@dataclass
class Cabled:
    """Both ends of a link at a cable's ends; the sender has been welcomed."""

    cable: Cable
    inlet: Inlet
    outlet: Outlet[int]
    taken: list[int] = field(default_factory=list)
    """By the receiver, which has answered them."""

    settled: Settled = field(default_factory=list)

    def run_until(self, happened: Callable[[], bool]) -> None:
        """Let both ends and the cable work until something has happened."""
        self.settled += run_until(happened, self.outlet, receive=self._receive)

    def _receive(self) -> None:
        self.cable.carry()
        self.taken += answer_all(self.inlet)


@pytest.fixture
def cabled(line: Line, cable: Cable) -> Cabled:
    cabled = Cabled(cable, line.inlet(cable.target), line.outlet(cable.address))
    cabled.run_until(lambda: cabled.outlet.welcomed)
    return cabled


def test_a_message_lost_on_a_broken_connection_is_sent_again_before_younger_ones(
    cabled: Cabled,
) -> None:
    cable, outlet = cabled.cable, cabled.outlet
    cable.forward = False
    offer(outlet, 0)
    cabled.run_until(lambda: outlet.unanswered == 1)
    cable.cut()
    # Connected again before the sender has noticed anything: the next it sends is a message.
    until(cable.connected, step=cable.carry)
    offer(outlet, 1)
    cabled.run_until(lambda: not outlet.waiting + outlet.unanswered)
    assert sorted(cabled.settled + outlet.exchange()) == answers(0, 1)
    assert cabled.taken == [0, 1]


def test_outcomes_lost_on_a_broken_connection_are_told_again(cabled: Cabled) -> None:
    cable, outlet = cabled.cable, cabled.outlet
    cable.back = False
    offer(outlet, 0, 1)
    cabled.run_until(lambda: len(cabled.taken) == 2)
    cable.cut()
    offer(outlet, 2)
    cabled.run_until(lambda: not outlet.waiting + outlet.unanswered)
    assert sorted(cabled.settled + outlet.exchange()) == answers(0, 1, 2)
    assert cabled.taken == [0, 1, 2]


def test_a_connection_that_is_dead_without_a_word_is_replaced_and_loses_nothing(
    cabled: Cabled, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both ends notice it long before ZeroMQ does, which then connects anew.
    monkeypatch.setattr(link, "_SILENT_NS", 1_000_000_000)
    cable, outlet = cabled.cable, cabled.outlet

    def up() -> tuple[bool, bool]:
        return outlet.state.up, cabled.inlet.peers()["left"].up

    cable.forward = cable.back = False
    offer(outlet, 0, 1)
    # The kernel takes them, and would go on trying for many minutes.
    cabled.run_until(lambda: up() == (False, False))
    assert outlet.unanswered == 2
    # The old connection stays as dead as it is: only a new one can do it.
    cable.keep_dead()
    cabled.run_until(lambda: not outlet.unanswered)
    assert sorted(cabled.settled) == answers(0, 1)
    assert cabled.taken == [0, 1]
    cabled.run_until(lambda: up() == (True, True))


def test_what_comes_late_over_a_connection_thought_dead_is_not_taken_twice(
    line: Line, cable: Cable
) -> None:
    inlet, outlet = line.inlet(cable.target, window=3), line.outlet(cable.address)
    held: list[Delivery] = []

    def admit() -> None:
        cable.carry()
        inlet.exchange()

    run_until(lambda: outlet.welcomed, outlet, receive=admit)
    offer(outlet, 0, 1)
    outlet.exchange()
    for _ in range(20):  # On the receiver's socket, and not read.
        cable.carry()
    cable.cut_at_the_sender()
    until(cable.connected, step=cable.carry)

    def receive() -> None:
        cable.carry()
        held.extend(inlet.take(1))
        inlet.exchange()

    run_until(lambda: len(held) == 2, outlet, receive=receive)
    for _ in range(3):
        outlet._say_hello(monotonic_ns())
        run_until(lambda: not outlet.socket.poll(20), outlet, receive=receive)
    assert [token_of(delivery) for delivery in held] == [0, 1]


def test_an_older_outlet_of_a_living_ones_name_is_not_welcomed(line: Line, address: str) -> None:
    inlet, older = line.inlet(address), line.outlet(address)
    younger = line.outlet(address)
    connect(younger, inlet)
    for _ in range(5):
        older.exchange()
        younger.exchange()
        assert not inlet.take(1)
        inlet.exchange()
    offer(younger, 1)
    settled = run_until(lambda: not younger.unanswered + younger.waiting, older, younger,
                        receive=lambda: answer_all(inlet))  # fmt: skip
    assert settled == answers(1)
    assert not older.welcomed


def test_a_link_over_ipv6(line: Line) -> None:
    try:
        probe = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    probe.close()
    address = fresh_address("ipv6", Path())
    inlet, outlet = line.inlet(address), line.outlet(address)
    offer(outlet, 7)
    settled = run_until(
        lambda: outlet.welcomed and not outlet.waiting + outlet.unanswered,
        outlet,
        receive=lambda: answer_all(inlet),
    )
    assert settled == answers(7)


def test_a_stage_that_takes_nothing_for_now_still_shows_that_it_lives(
    line: Line, address: str
) -> None:
    inlet, outlet = line.inlet(address, window=1), line.outlet(address)
    connect(outlet, inlet)
    offer(outlet, 0, 1, 2)

    def step() -> None:
        outlet.exchange()
        inlet.exchange()

    until(lambda: inlet.waiting == 1, step=step)
    heard_ns = outlet._heard_ns
    until(lambda: outlet._heard_ns > heard_ns, step=step)
    assert (outlet.state.up, outlet.unanswered, inlet.waiting) == (True, 1, 1)


# --- peers that speak something else ----------------------------------------------------------


def test_a_sender_of_another_version_is_refused_in_one_sentence(line: Line, address: str) -> None:
    inlet = line.inlet(address)
    stranger = line.context.socket(zmq.DEALER)
    stranger.connect(address)
    stranger.send_multipart([head(b"H"), packed([WIRE_VERSION + 1, "left"])])
    until(lambda: bool(stranger.poll(0)), step=lambda: inlet.take(1))
    kind, sentence = stranger.recv_multipart()
    stranger.close(linger=0)
    assert kind[:1] == b"R"
    assert sentence.decode() == (
        f"peer left speaks version {WIRE_VERSION + 1}, this end {WIRE_VERSION}; "
        "install one release everywhere"
    )
    assert not inlet.peers()


def test_a_refused_sender_raises_the_sentence(line: Line, address: str) -> None:
    stranger = line.context.socket(zmq.ROUTER)
    stranger.bind(address)
    outlet = line.outlet(address)
    until(lambda: bool(stranger.poll(0)), step=outlet.exchange)
    identity = stranger.recv_multipart()[0]
    why = b"\x1b[2J\ninstall one release everywhere\r"
    stranger.send_multipart([identity, head(b"R"), why])
    sentence = r"^link left: \?\[2J\?install one release everywhere\?$"
    with pytest.raises(WireError, match=sentence):
        until(lambda: False, step=outlet.exchange)
    stranger.close(linger=0)


def head(kind: bytes) -> bytes:
    """The head of a message of the link's protocol."""
    return write_data_head(DataHead(1, 0, 0, 0, SAME_CLOCK)) if kind == DATA else kind


def packed(body: object) -> bytes:
    """A body of the link's protocol."""
    return msgspec.msgpack.encode(body)


INT64 = st.integers(-(2**63), 2**63 - 1)
HEADS = st.builds(head, st.sampled_from([b"H", b"D", b"B", b"W", b"F", b"R", b"X"]))
FIELDS = INT64 | st.text(max_size=5) | st.lists(st.tuples(INT64, st.binary(max_size=3)), max_size=3)
BODIES = st.lists(FIELDS, max_size=6).map(packed)
HELLOS = st.builds(
    lambda name, tag, oldest: [
        head(b"H"),
        packed([WIRE_VERSION, name, "", 1, tag, oldest, 1, tag, oldest]),
    ],
    st.just("stranger") | st.text(min_size=5, max_size=9),
    INT64,
    INT64,
)


def cut_short(fields: list[object], rest: bytes) -> bytes:
    """A body whose last field is anything."""
    return bytes([0x90 + len(fields) + 1]) + b"".join(map(packed, fields)) + rest


BAD_TEXT = b"\xa2\xff\xfe"
NESTED = b"\x91" * 10_000
BEGUN: list[list[object]] = [
    [],
    [WIRE_VERSION],
    [WIRE_VERSION, "stranger"],
    [WIRE_VERSION, "stranger", "", 1, 0, 1, 0, 0, -1],
    [1, "", 2, 0, 0, 0, 0],
    [1],
    [1, []],
]
CRAFTED = st.builds(
    lambda kind, fields, rest: [head(kind), cut_short(fields, rest)],
    st.sampled_from([b"H", b"W", b"F"]),
    st.sampled_from(BEGUN),
    st.sampled_from([b"\xa2\xff\xfe", b"\x91" * 10_000, b"\x81\x00" * 10_000])
    | st.binary(max_size=9),
)
NOISE = st.lists(
    HELLOS | CRAFTED | st.lists(st.binary(max_size=30) | HEADS | BODIES, min_size=1, max_size=4),
    max_size=8,
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
    @example(noise=[[head(b"H"), cut_short([], BAD_TEXT)]])
    @example(noise=[[head(b"H"), cut_short([WIRE_VERSION, "stranger"], NESTED)]])
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
            inlet.exchange()

        until(lambda: bool(settled), step=step)
        assert settled == answers(token)

    try:
        check()
    finally:
        stranger.close()


@given(noise=NOISE)
@example(noise=[[head(b"W"), cut_short([1], BAD_TEXT)]])
@example(noise=[[head(b"F"), cut_short([1, []], NESTED)]])
def test_noise_from_the_receivers_side_ends_nobody_unless_it_is_a_refusal(
    noise: list[list[bytes]],
) -> None:
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
            except WireError:
                assert message[0][:1] == b"R"
        assert outlet.waiting + outlet.unanswered == 1
    finally:
        outlet.close()
        stranger.close(linger=0)
        context.term()


NO_ANSWERS = {
    "a flow that is cut short": [b"F", b"\x92\x01"],
    "a flow without a body": [b"F"],
    "a flow nested too deep": [b"F", b"\x92\x01" + NESTED],
    "a welcome that is no text": [b"W", BAD_TEXT],
    "a welcome after which tags run out": [b"W", packed([2**63 - 1, "", 9, 2**63 - 1, 0, 0, 0])],
    "no kind": [b""],
    "another kind": [b"X", b"x"],
}


def test_answers_that_are_none_are_counted_told_once_and_keep_nothing_from_going_on(
    line: Line, address: str
) -> None:
    stranger = line.context.socket(zmq.ROUTER)
    stranger.bind(address)
    refusals = Refusals("prepared")
    outlet = Outlet[int](
        line.context, address, name="left", depth=3, evict=False, refusals=refusals
    )
    line.outlets.append(outlet)
    offer(outlet, 1)
    until(lambda: bool(stranger.poll(0)), step=outlet.exchange)
    identity = stranger.recv_multipart()[0]
    with capture_logs() as log:
        for message in NO_ANSWERS.values():
            stranger.send_multipart([identity, *message])
        until(lambda: refusals.count == len(NO_ANSWERS), step=outlet.exchange)
    assert [(one["event"], one["link"]) for one in log] == [("messages are refused", "prepared")]
    assert not outlet.welcomed
    stranger.send_multipart([identity, head(b"W"), packed([5, "", 9, 5, 0, 0, 0])])
    until(lambda: outlet.unanswered == 1, step=outlet.exchange)
    stranger.send_multipart([identity, head(b"F"), packed([9, [(6, b"done")]])])
    settled: Settled = []
    until(lambda: bool(settled), step=lambda: settled.extend(outlet.exchange()))
    assert settled == [(1, b"done")]
    assert refusals.count == len(NO_ANSWERS)
    stranger.close(linger=0)


def test_what_is_no_answer_is_no_sign_of_life(
    line: Line, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_SILENT_NS", 200_000_000)
    stranger = line.context.socket(zmq.ROUTER)
    stranger.bind(address)
    outlet = line.outlet(address)
    until(lambda: bool(stranger.poll(0)), step=outlet.exchange)
    identity = stranger.recv_multipart()[0]

    def welcome() -> None:
        stranger.send_multipart([identity, head(b"W"), packed([5, "", 9, 5, 0, 0, 0])])
        outlet.exchange()

    until(lambda: outlet.state.up, step=welcome)

    def babble() -> None:
        stranger.send_multipart([identity, b"F", b"\xff"])
        outlet.exchange()

    until(lambda: not outlet.state.up, step=babble)
    stranger.close(linger=0)


NO_MESSAGES = {
    "a hello that is cut short": [b"H", b"\x93\x01"],
    "a hello without a body": [b"H"],
    "a hello under too long a name": [b"H", packed([WIRE_VERSION, "x" * 257])],
    "a hello of another version": [b"H", packed([WIRE_VERSION + 1, "left"])],
    "data with too short a head": [b"Dx"],
    "no kind": [b""],
    "another kind": [b"X", b"x"],
}


def test_messages_that_are_none_are_counted_and_told_once(context: Context, address: str) -> None:
    refusals = Refusals("prepared")
    inlet = Inlet(context, address, window=4, refusals=refusals)
    stranger = context.socket(zmq.DEALER)
    stranger.routing_id = b"\x1b[31mstranger/1"
    stranger.connect(address)
    with capture_logs() as log:
        for message in NO_MESSAGES.values():
            stranger.send_multipart(message)
        until(lambda: refusals.count == len(NO_MESSAGES), step=inlet.exchange)
    assert [(one["event"], one["peer"]) for one in log] == [
        ("messages are refused", "?[31mstranger")
    ]
    stranger.close(linger=0)
    inlet.close()


def greet(context: Context, address: str, name: str) -> zmq.Socket[bytes]:
    """Somebody who says that he is an outlet of that name."""
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.routing_id = name.encode()
    socket.connect(address)
    hello = protocol.Hello(WIRE_VERSION, name, "clock", 1, 0, 1, 0, 0, -1)
    socket.send_multipart([protocol.HELLO, protocol.write(hello)])
    return socket


def test_what_an_outlet_never_says_it_has_heard_does_not_fill_the_memory(
    line: Line, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_MOST_SAID", 3)
    inlet = line.inlet(address, window=10)
    stranger = greet(line.context, address, "left")
    until(lambda: bool(stranger.poll(0)), step=inlet.exchange)
    before = protocol.read_welcome(stranger.recv_multipart()[1]).seen
    (peer,) = inlet._peers.values()
    for tag in range(before + 1, before + 11):
        data = write_data_head(DataHead(tag, tag - 1, 0, 0, SAME_CLOCK))
        stranger.send_multipart([data, b"7"])
        until(lambda: answer_all(inlet) == [7])
        inlet.exchange()
    assert [one - before for one, _ in peer.said] == [8, 9, 10]
    stranger.close()


@pytest.mark.parametrize("admit", [True, False], ids=["welcoming", "not-yet-ready"])
def test_whoever_comes_under_ever_new_names_does_not_fill_the_memory(
    line: Line,
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    admit: bool,  # noqa: FBT001 - a table
) -> None:
    monkeypatch.setattr(link, "_MOST_PEERS", 5)
    inlet = line.inlet(address, admit=admit)
    strangers = [greet(line.context, address, f"name-{n}") for n in range(20)]
    until(lambda: len(inlet._peers) + len(inlet._knocking) == 5, step=inlet.exchange)
    for _ in range(20):
        inlet.exchange()
    assert len(inlet._peers) + len(inlet._knocking) == 5
    for stranger in strangers:
        stranger.close()


def test_where_too_many_have_come_a_new_one_takes_the_place_of_one_that_has_vanished(
    line: Line, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_MOST_PEERS", 3)
    monkeypatch.setattr(link, "_SILENT_NS", 100_000_000)
    inlet = line.inlet(address)
    strangers = [greet(line.context, address, f"name-{n}") for n in range(3)]
    until(lambda: len(inlet._peers) == 3, step=inlet.exchange)
    for stranger in strangers:
        stranger.close()
    outlet = line.outlet(address)
    offer(outlet, 1)

    def step() -> None:
        outlet.exchange()
        inlet.exchange()

    until(lambda: inlet.waiting == 1, step=step)
    assert len(inlet._peers) == 3


def test_a_part_larger_than_a_stage_wants_is_not_taken_in(context: Context) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    inlet = Inlet(context, address, window=4, largest=10_000)
    inlet.admit()
    outlet = Outlet[int](context, address, name="left", depth=3, evict=False)
    outlet.offer([b"small", bytes(9000)], 1)

    def step() -> None:
        outlet.exchange()
        inlet.exchange()

    until(lambda: inlet.waiting == 1, step=step)
    outlet.offer([b"large", bytes(20_000)], 2)
    outlet.offer([b"small", bytes(9000)], 3)
    monitor = outlet.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    until(lambda: bool(monitor.poll(0)), step=step)
    assert [bytes(one.parts[0]) for one in inlet.take(9)] == [b"small"]
    monitor.close()
    outlet.close()
    inlet.close()


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
