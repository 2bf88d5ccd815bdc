"""Who has to leave, by the clock and by who is there."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from streamline.run.supervision.callers import Callers

SECOND_NS = 10**9


class Door:
    """Callers whose clock stands still until it is moved."""

    def __init__(self, stack: ExitStack) -> None:
        self.now_ns = 0
        self.callers = Callers(10.0, lambda: self.now_ns)
        self._stack = stack

    def comes(self, address: str) -> socket.socket:
        """Let somebody come, a moment after whoever came before."""
        self.now_ns += 1
        here, _ = (self._stack.enter_context(one) for one in socket.socketpair())
        assert self.callers.come(here, address)
        return here

    def sent_away(self, *callers: socket.socket) -> list[bool]:
        return [self.callers.is_sent_away(one) for one in callers]


@pytest.fixture
def door() -> Iterator[Door]:
    with ExitStack() as stack:
        yield Door(stack)


def test_who_has_not_asked_in_time_is_hung_up_on_however_busy_he_is(door: Door) -> None:
    one = door.comes("192.0.2.1")
    door.now_ns += 10 * SECOND_NS
    door.callers.sweep()
    assert door.sent_away(one) == [False]
    door.now_ns += 1
    door.callers.sweep()
    assert door.sent_away(one) == [True]
    assert one.recv(1) == b""


def test_time_begins_anew_with_a_request_and_with_its_answer(door: Door) -> None:
    one = door.comes("192.0.2.1")
    for _ in range(3):
        door.now_ns += 9 * SECOND_NS
        door.callers.hear(one)
    door.now_ns += 10 * SECOND_NS
    door.callers.sweep()
    assert door.sent_away(one) == [False]


def test_one_place_keeps_eight_and_its_first_who_was_not_heard_makes_room(door: Door) -> None:
    elsewhere = door.comes("192.0.2.2")
    known, *others = (door.comes("192.0.2.1") for _ in range(8))
    door.callers.hear(known)
    door.comes("192.0.2.1")
    assert door.sent_away(elsewhere, known, *others) == [False, False, True, *[False] * 6]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param("2001:db8::1", "2001:db8::ffff:0:1", id="one-network"),
        pytest.param("::ffff:192.0.2.1", "192.0.2.1", id="mapped"),
        pytest.param("fe80::1%1", "fe80::2%2", id="with-a-scope"),
    ],
)
def test_addresses_that_one_host_may_have_are_one_place(door: Door, first: str, then: str) -> None:
    oldest, *_ = (door.comes(first) for _ in range(8))
    door.comes(then)
    assert door.sent_away(oldest) == [True]


@pytest.mark.parametrize("then", ["2001:db8:0:1::1", "192.0.2.1", "::ffff:192.0.2.1", "::1"])
def test_other_places_are_apart(door: Door, then: str) -> None:
    there = [door.comes("2001:db8::1") for _ in range(8)]
    door.comes(then)
    assert not any(door.sent_away(*there))


@pytest.mark.parametrize("address", ["127.0.0.{}", "::ffff:127.0.0.{}"])
def test_this_computers_users_are_one_place_with_all_the_room(door: Door, address: str) -> None:
    there = [door.comes(address.format(1 + number)) for number in range(32)]
    assert not any(door.sent_away(*there))
    door.comes("127.0.0.1")
    assert door.sent_away(*there) == [True, *[False] * 31]


def test_where_all_have_been_heard_he_leaves_who_was_heard_first(door: Door) -> None:
    there = [door.comes("::1") for _ in range(32)]
    for one in reversed(there):
        door.now_ns += 1
        door.callers.hear(one)
    door.comes("::1")
    assert door.sent_away(*there) == [*[False] * 31, True]


def test_who_comes_is_turned_away_while_as_many_have_not_gone_as_are_served(door: Door) -> None:
    there = [door.comes("::1") for _ in range(64)]
    here, other = socket.socketpair()
    with here, other:
        assert not door.callers.come(here, "::1")
        door.callers.leave(there[0])
        assert door.callers.come(here, "::1")
