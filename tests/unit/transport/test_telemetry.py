"""Figures of stages on other hosts."""

import math
from collections.abc import Iterator
from functools import partial

import msgspec
import pytest
import structlog
import zmq
from hypothesis import given
from hypothesis import strategies as st

from streamline.clock import wall_ns
from streamline.errors import InputError
from streamline.ledger import Ledger, Sample, encode
from streamline.metrics.believed import believed
from streamline.transport import telemetry
from streamline.transport.link import Context
from streamline.transport.refusals import Refusals
from streamline.transport.telemetry import TelemetryInlet, TelemetryOutlet
from tests.support.ports import free_port
from tests.support.until import until


@pytest.fixture
def address() -> str:
    """A free TCP address of this host."""
    return f"tcp://127.0.0.1:{free_port()}"


def inlet_at(context: Context, address: str, refusals: Refusals) -> TelemetryInlet:
    """The end of an exporter whose pipeline file has two cameras."""
    sift = partial(believed, cameras={"left", "never"})
    return TelemetryInlet(context, address, sift=sift, refusals=refusals)


@pytest.fixture
def refusals() -> Refusals:
    """What the exporter's end refuses."""
    return Refusals("telemetry")


@pytest.fixture
def inlet(context: Context, address: str, refusals: Refusals) -> Iterator[TelemetryInlet]:
    """The exporter's end."""
    inlet = inlet_at(context, address, refusals)
    yield inlet
    inlet.close()


@pytest.fixture
def outlet(context: Context, address: str) -> Iterator[TelemetryOutlet]:
    """A worker's end."""
    outlet = TelemetryOutlet(context, address, "a-part")
    yield outlet
    outlet.close()


@pytest.fixture(scope="module")
def figures() -> list[list[Sample]]:
    """What a worker has counted after 0, 1, 2 … alerts."""
    ledger = Ledger()
    seen = ledger.counter("streamline_alerts_total", camera="left")
    states = []
    for _ in range(4):
        states.append(ledger.samples())
        seen.add()
    return states


@pytest.fixture(scope="module")
def ledgers(figures: list[list[Sample]]) -> list[bytes]:
    """The same as it travels."""
    return [encode(samples) for samples in figures]


def counts(inlet: TelemetryInlet) -> dict[str, float]:
    """What each worker has counted, as far as is known here."""
    return {
        worker: float(told.samples[0].values[0]) for (_, worker), told in inlet.latest().items()
    }


def head(worker: str) -> bytes:
    """What goes before a worker's ledger."""
    return msgspec.msgpack.encode(["a-part", worker, 1])


def test_the_newest_ledger_of_each_worker_is_known(
    inlet: TelemetryInlet, outlet: TelemetryOutlet, figures: list[list[Sample]]
) -> None:
    until(lambda: "left" in counts(inlet), step=lambda: outlet.send("left", figures[1]))
    until(lambda: counts(inlet)["left"] == 3, step=lambda: outlet.send("left", figures[3]))
    until(lambda: "right" in counts(inlet), step=lambda: outlet.send("right", figures[2]))
    assert counts(inlet) == {"left": 3, "right": 2}


def test_parts_whose_workers_have_one_name_are_told_apart(
    context: Context, address: str, inlet: TelemetryInlet, figures: list[list[Sample]]
) -> None:
    outlets = [TelemetryOutlet(context, address, part) for part in ("cameras", "inference")]
    latest = dict(inlet.latest())

    def step() -> None:
        for count, outlet in enumerate(outlets):
            outlet.send("supervisor", figures[count])
        latest.update(inlet.latest())

    until(lambda: len(latest) == 2, step=step)
    for outlet in outlets:
        outlet.close()
    counted = {part: told.samples[0].values[0] for (part, _), told in latest.items()}
    assert counted == {"cameras": 0, "inference": 1}


def test_time_stamps_are_put_on_the_time_of_day_here(
    context: Context, address: str, inlet: TelemetryInlet
) -> None:
    ledger = Ledger()
    sent_ns = 1_000 * 10**9  # Their clock has never been set.
    ledger.gauge("streamline_last_frame_timestamp_seconds", camera="left").set(sent_ns / 1e9 - 7)
    ledger.gauge("streamline_last_frame_timestamp_seconds", camera="never").set(0.0)
    stranger = context.socket(zmq.PUSH)
    stranger.connect(address)
    earliest_s = wall_ns() / 1e9
    body = encode(ledger.samples())
    stranger.send_multipart([msgspec.msgpack.encode(["a-part", "a", sent_ns]), body])
    until(lambda: bool(inlet.latest()))
    (told,) = inlet.latest().values()
    left, never = (float(sample.values[0]) for sample in told.samples)
    assert earliest_s - 7 <= left <= wall_ns() / 1e9 - 7 + 1e-3
    assert never == 0
    stranger.close(linger=0)


def test_sending_where_nobody_listens_never_waits(
    context: Context, figures: list[list[Sample]]
) -> None:
    outlet = TelemetryOutlet(context, "tcp://127.0.0.1:9", "a-part")
    for _ in range(100):
        outlet.send("left", figures[0])
    outlet.close()


def test_noise_changes_nothing_is_counted_and_told_once(
    context: Context,
    address: str,
    inlet: TelemetryInlet,
    ledgers: list[bytes],
    refusals: Refusals,
) -> None:
    sent = 0
    stranger = context.socket(zmq.PUSH)
    stranger.connect(address)
    stranger.send_multipart([head("left"), ledgers[2]])
    until(lambda: counts(inlet) == {"left": 2})

    @given(noise=st.lists(st.binary(max_size=300), min_size=1, max_size=3))
    def check(noise: list[bytes]) -> None:
        nonlocal sent
        stranger.send_multipart(noise)
        stranger.send_multipart([head("left"), *noise])
        sent += 2
        assert counts(inlet) == {"left": 2}

    with structlog.testing.capture_logs() as log:
        check()
        stranger.send_multipart([head("left"), ledgers[3]])
        until(lambda: counts(inlet) == {"left": 3})
    stranger.close(linger=0)
    assert refusals.count == sent
    assert [(one["event"], one["link"]) for one in log] == [("messages are refused", "telemetry")]


def test_what_is_not_believed_is_left_out_and_its_message_counted(
    inlet: TelemetryInlet, outlet: TelemetryOutlet, refusals: Refusals
) -> None:
    ledger = Ledger()
    ledger.counter("streamline_alerts_total", camera="left").add(2)
    ledger.gauge("streamline_frames_in_flight", camera="left").set(math.nan)
    ledger.gauge("streamline_frames_in_flight", camera="strange")
    with structlog.testing.capture_logs() as log:
        until(lambda: bool(counts(inlet)), step=lambda: outlet.send("a", ledger.samples()))
    (told,) = inlet.latest().values()
    assert [one.name for one in told.samples] == ["streamline_alerts_total"]
    assert refusals.count > 0
    assert [(one["peer"], one["why"]) for one in log] == [
        ("a", "streamline_frames_in_flight: values [nan]")
    ]


def test_series_of_all_workers_together_are_bounded(
    context: Context,
    address: str,
    inlet: TelemetryInlet,
    refusals: Refusals,
    monkeypatch: pytest.MonkeyPatch,
    ledgers: list[bytes],
) -> None:
    monkeypatch.setattr(telemetry, "_MAX_HELD", 3)
    stranger = context.socket(zmq.PUSH)
    stranger.connect(address)
    for number in range(5):
        stranger.send_multipart([head(str(number)), ledgers[0]])
    until(lambda: refusals.count == 2, step=inlet.latest)
    stranger.send_multipart([head("1"), ledgers[3]])
    until(lambda: counts(inlet) == {"0": 0, "1": 3, "2": 0})
    monkeypatch.setattr(telemetry, "GONE_NS", 0)
    stranger.send_multipart([head("new"), ledgers[2]])
    until(lambda: counts(inlet) == {"1": 3, "2": 0, "new": 2})
    stranger.close(linger=0)


def test_known_workers_are_followed_however_many_strangers_there_are(
    context: Context,
    address: str,
    inlet: TelemetryInlet,
    ledgers: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # None of them is taken for gone, however long that many take.
    monkeypatch.setattr(telemetry, "GONE_NS", 300_000_000_000)
    stranger = context.socket(zmq.PUSH)
    stranger.connect(address)
    stranger.send_multipart([head("left"), ledgers[0]])
    for number in range(1100):
        stranger.send_multipart([head(str(number)), ledgers[0]])
        inlet.latest()
    stranger.send_multipart([head("left"), ledgers[3]])
    until(lambda: counts(inlet)["left"] == 3)
    assert len(counts(inlet)) == 1024
    stranger.close(linger=0)


def test_a_ledger_of_more_series_than_a_worker_can_have_is_refused(
    context: Context,
    address: str,
    inlet: TelemetryInlet,
    refusals: Refusals,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry, "_MAX_SERIES", 2)
    ledgers = [Ledger() for _ in range(2)]
    for count, ledger in enumerate(ledgers, start=2):
        for _ in range(count):
            ledger.counter("streamline_alerts_total", camera="left").add()
    stranger = context.socket(zmq.PUSH)
    stranger.connect(address)
    for count, ledger in enumerate(ledgers, start=2):
        stranger.send_multipart([head(str(count)), encode(ledger.samples())])
    until(lambda: refusals.count == 1, step=inlet.latest)
    assert [worker for _, worker in inlet.latest()] == ["2"]
    stranger.close(linger=0)


def test_whoever_floods_the_exporter_does_not_keep_it_from_its_other_work(
    context: Context,
    address: str,
    inlet: TelemetryInlet,
    ledgers: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stranger = context.socket(zmq.PUSH)
    stranger.connect(address)
    stranger.send_multipart([head("left"), ledgers[2]])
    stranger.send_multipart([head("left"), ledgers[3]])
    with monkeypatch.context() as patch:
        patch.setattr(telemetry, "_AT_ONCE_NS", 0)
        until(lambda: counts(inlet) == {"left": 2})
    until(lambda: counts(inlet) == {"left": 3})
    stranger.close(linger=0)


def test_a_telemetry_address_in_use_is_refused_in_one_sentence(
    context: Context, address: str, inlet: TelemetryInlet
) -> None:
    assert inlet.latest() == {}
    with pytest.raises(InputError, match=rf"links\.telemetry: can't listen on {address}: Addr"):
        inlet_at(context, address, Refusals("telemetry"))
