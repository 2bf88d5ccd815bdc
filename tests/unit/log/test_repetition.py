"""What is told again and again is limited, counted, and never lost without a word."""

from collections.abc import Callable

import pytest

from streamline.log.repetition import Event, Repetition

MINUTE_NS = 60_000_000_000


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def admit(clock: Clock) -> Callable[..., list[Event]]:
    limiter = Repetition(clock)
    return lambda **event: limiter.admit({"level": "error", **event})


def test_five_are_told_and_the_rest_by_the_last_of_them_with_their_number(
    clock: Clock, admit: Callable[..., list[Event]]
) -> None:
    told = [admit(event="lost", camera="a", why=f"error {n}", frames=n) for n in range(100)]
    assert [len(one) for one in told] == [1] * 5 + [0] * 95
    clock.now_ns = MINUTE_NS - 1
    assert len(admit(event="other")) == 1
    clock.now_ns = MINUTE_NS
    owed, new = admit(event="other", camera="b")
    assert owed == {
        "level": "error",
        "event": "lost",
        "camera": "a",
        "why": "error 99",
        "frames": 99,
        "repeated": 94,
    }
    assert new["camera"] == "b"


def test_after_a_minute_it_is_told_again(clock: Clock, admit: Callable[..., list[Event]]) -> None:
    for _ in range(6):
        admit(event="lost", camera="a")
    clock.now_ns = MINUTE_NS
    owed, new = admit(event="lost", camera="a")
    assert "repeated" not in owed  # It was the only one that was kept back.
    assert new["event"] == "lost"


def test_other_cameras_events_and_levels_have_their_own_count(
    admit: Callable[..., list[Event]],
) -> None:
    for _ in range(50):
        admit(event="lost", camera="a")
    assert admit(event="lost", camera="b")
    assert admit(event="found", camera="a")
    assert admit(event="lost", camera="a", level="warning")


def test_no_alert_is_ever_kept_back(admit: Callable[..., list[Event]]) -> None:
    told = [admit(event="alert begins", camera="a", id=f"a-1-{n}") for n in range(200)]
    assert all(len(one) == 1 for one in told)


def test_what_is_counted_is_told_at_the_end(clock: Clock) -> None:
    limiter = Repetition(clock)
    for number in range(8):
        limiter.admit({"level": "error", "event": "lost", "frames": number})
    assert limiter.rest() == [{"level": "error", "event": "lost", "frames": 7, "repeated": 2}]
    assert limiter.rest() == []


def test_kinds_that_are_over_are_forgotten(clock: Clock) -> None:
    limiter = Repetition(clock)
    for number in range(1000):
        limiter.admit({"level": "info", "event": "begins", "id": str(number)})
    clock.now_ns = MINUTE_NS
    limiter.admit({"level": "info", "event": "begins", "id": "last"})
    assert len(limiter._kinds) == 1
