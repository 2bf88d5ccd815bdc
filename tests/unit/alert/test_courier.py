"""A courier brings its sink everything, in order, whatever the sink does meanwhile."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
import structlog

from streamline.alert import courier as module
from streamline.alert.courier import Courier
from streamline.alert.outbox import Outbox, Posted
from streamline.alert.sinks import RejectedError
from streamline.backoff import Backoff
from streamline.errors import InputError
from tests.support.line import eventually


class Fickle:
    """A sink that raises what it is told to, by the number of the try."""

    def __init__(self, errors: dict[int, Exception]) -> None:
        self.errors = errors
        self.told: list[int] = []
        self.tries = 0
        self.closed = False

    def deliver(self, _alert_id: str, event: bytes, /) -> None:
        self.tries += 1
        if (error := self.errors.get(self.tries)) is not None:
            raise error
        self.told.append(int(event))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "outbox.db", ["one", "two"], max_events=1000)
    yield outbox
    outbox.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Backoff", lambda **_: Backoff(first_s=0.01, longest_s=0.01))


def post(outbox: Outbox, first: int, count: int) -> None:
    outbox.post(Posted(f"a-{n}", "new", b"%d" % n) for n in range(first, first + count))


def start(name: str, sink: Fickle, outbox: Outbox) -> tuple[Courier, Counter[str]]:
    counts: Counter[str] = Counter()

    def count(outcome: str) -> None:
        counts[outcome] += 1

    courier = Courier(name, lambda: sink, outbox, count, patient=False)
    courier.start()
    return courier, counts


def test_failures_are_repeated_in_order_and_refusals_are_not(outbox: Outbox) -> None:
    errors: dict[int, Exception] = {
        2: OSError("down"),
        3: KeyError("a fault of the library's"),
        5: RejectedError("no"),
    }
    sink = Fickle(errors)
    with structlog.testing.capture_logs() as logs:
        courier, counts = start("one", sink, outbox)
        post(outbox, 0, 5)
        eventually(lambda: outbox.waiting("one") == 0, "everything is told")
        courier.stop(10)
        courier.join(30)
    # The third event was refused at the fifth try.
    assert sink.told == [0, 1, 3, 4]
    assert counts == {"ok": 4, "failed": 2, "rejected": 1}
    said = [line["event"] for line in logs]
    assert said == [
        "sink can't be told, tries go on",
        "sink is told again",
        "sink refuses an alert",
    ]
    assert sink.closed


def test_a_sink_that_hangs_holds_up_nobody_else(outbox: Outbox) -> None:
    released = Event()

    class Hanging(Fickle):
        def deliver(self, alert_id: str, event: bytes, /) -> None:
            assert released.wait(60)
            super().deliver(alert_id, event)

    slow, fast = Hanging({}), Fickle({})
    first, _ = start("one", slow, outbox)
    second, _ = start("two", fast, outbox)
    post(outbox, 0, 300)
    eventually(lambda: outbox.waiting("two") == 0, "the other is told")
    assert outbox.waiting("one") == 300
    released.set()
    eventually(lambda: outbox.waiting("one") == 0, "all are told")
    for courier in (first, second):
        courier.stop(1)
        courier.join(30)
    assert slow.told == fast.told == list(range(300))


def test_what_a_stop_leaves_is_told_by_the_next(outbox: Outbox) -> None:
    dead = Fickle({n: OSError("down") for n in range(1, 10_000)})
    post(outbox, 0, 3)
    courier, _ = start("one", dead, outbox)
    eventually(lambda: dead.tries > 1, "it is tried")
    courier.stop(0.1)
    courier.join(30)
    assert not courier.is_alive()
    assert outbox.waiting("one") == 3
    well = Fickle({})
    courier, _ = start("one", well, outbox)
    courier.stop(30)
    courier.join(30)
    assert well.told == [0, 1, 2]


def test_a_sink_that_can_t_be_opened_is_the_starter_s_to_raise(outbox: Outbox) -> None:
    def refuse() -> Fickle:
        msg = "no"
        raise InputError(msg)

    courier = Courier("one", refuse, outbox, lambda _: None, patient=False)
    courier.start()
    assert courier.opened.wait(30)
    courier.join(30)
    assert isinstance(courier.failure, InputError)


def test_a_sink_that_can_t_be_opened_just_now_is_told_once_it_can(outbox: Outbox) -> None:
    sink, tries = Fickle({}), 0

    def open_at_last() -> Fickle:
        nonlocal tries
        tries += 1
        if tries < 4:
            msg = "alerts.jsonl: can't be written (Read-only file system); give another path"
            raise InputError(msg)
        return sink

    post(outbox, 0, 3)
    with structlog.testing.capture_logs() as logs:
        courier = Courier("one", open_at_last, outbox, lambda _: None, patient=True)
        courier.start()
        assert courier.opened.wait(30)
        eventually(lambda: outbox.waiting("one") == 0, "everything is told")
        courier.stop(10)
        courier.join(30)
    assert (courier.failure, sink.told) == (None, [0, 1, 2])
    assert [line["event"] for line in logs] == [
        "sink can't be told, tries go on",
        "sink is told again",
    ]


def test_a_sink_that_never_opens_holds_up_no_end(outbox: Outbox) -> None:
    def refuse() -> Fickle:
        msg = "no"
        raise InputError(msg)

    post(outbox, 0, 3)
    courier = Courier("one", refuse, outbox, lambda _: None, patient=True)
    courier.start()
    assert courier.opened.wait(30)
    courier.stop(0)
    courier.join(30)
    assert not courier.is_alive()
    assert outbox.waiting("one") == 3


def test_a_sink_that_can_t_be_closed_is_told_of_without_a_traceback(outbox: Outbox) -> None:
    class Stuck(Fickle):
        def close(self) -> None:
            message = "the disk is gone"
            raise OSError(message)

    sink = Stuck({})
    post(outbox, 0, 3)
    with structlog.testing.capture_logs() as logs:
        courier, _ = start("one", sink, outbox)
        courier.stop(30)
        courier.join(30)
    assert sink.told == [0, 1, 2]
    assert [(line["event"], line["why"]) for line in logs] == [
        ("sink can't be closed", "the disk is gone")
    ]


class Keeper(Fickle):
    """A sink that loses what it has not settled, the first times."""

    def __init__(self, failures: int) -> None:
        super().__init__({})
        self.kept: list[int] = []
        self.settlings = 0
        self._failures = failures

    def settle(self) -> None:
        self.settlings += 1
        held, self.told = self.told, []
        if self.settlings <= self._failures:
            message = "the disk is gone"
            raise OSError(message)
        self.kept += held


def test_a_sink_that_keeps_events_is_told_again_what_it_could_not_make_last(
    outbox: Outbox,
) -> None:
    sink = Keeper(failures=3)
    post(outbox, 0, 200)
    with structlog.testing.capture_logs() as logs:
        courier, counts = start("one", sink, outbox)
        eventually(lambda: outbox.waiting("one") == 0, "everything is told")
        courier.stop(10)
        courier.join(30)
    assert sink.kept == list(range(200))
    assert sink.settlings < 20  # Many at once.
    assert counts == {"failed": 3, "ok": 200}  # What does not last was not delivered.
    assert [line["event"] for line in logs] == [
        "sink can't be told, tries go on",
        "sink is told again",
    ]
