"""Figures of stages on other hosts."""

import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from streamline.clock import wall_ns
from streamline.errors import InputError
from streamline.ledger import Ledger, LedgerView
from streamline.transport.link import Context
from streamline.transport.telemetry import TelemetryInlet, TelemetryOutlet
from tests.support.until import until


@pytest.fixture
def address() -> str:
    """A free TCP address of this host."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def inlet(context: Context, address: str) -> Iterator[TelemetryInlet]:
    """The exporter's end."""
    inlet = TelemetryInlet(context, address)
    yield inlet
    inlet.close()


@pytest.fixture
def outlet(context: Context, address: str) -> Iterator[TelemetryOutlet]:
    """A worker's end."""
    outlet = TelemetryOutlet(context, address, "a-part")
    yield outlet
    outlet.close()


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A worker's ledger as it stood after 0, 1, 2 … frames."""
    ledger = Ledger()
    seen = ledger.counter("seen_total")
    path = tmp_path_factory.mktemp("ledger") / "a.ledger"
    ledger.open(path)
    view = LedgerView(path)
    states = []
    for _ in range(4):
        states.append(view.snapshot())
        seen.add()
    view.close()
    ledger.close()
    return states


def counts(inlet: TelemetryInlet) -> dict[str, float]:
    """What each worker has counted, as far as is known here."""
    return {
        worker: float(told.samples[0].values[0]) for (_, worker), told in inlet.latest().items()
    }


def head(worker: str) -> bytes:
    """What goes before a worker's ledger."""
    return msgspec.msgpack.encode(["a-part", worker, 1])


def test_the_newest_ledger_of_each_worker_is_known(
    inlet: TelemetryInlet, outlet: TelemetryOutlet, ledgers: list[bytes]
) -> None:
    until(lambda: "left" in counts(inlet), step=lambda: outlet.send("left", ledgers[1]))
    until(lambda: counts(inlet)["left"] == 3, step=lambda: outlet.send("left", ledgers[3]))
    until(lambda: "right" in counts(inlet), step=lambda: outlet.send("right", ledgers[2]))
    assert counts(inlet) == {"left": 3, "right": 2}


def test_parts_whose_workers_have_one_name_are_told_apart(
    context: Context, address: str, inlet: TelemetryInlet, ledgers: list[bytes]
) -> None:
    outlets = [TelemetryOutlet(context, address, part) for part in ("cameras", "inference")]
    latest = dict(inlet.latest())

    def step() -> None:
        for count, outlet in enumerate(outlets):
            outlet.send("supervisor", ledgers[count])
        latest.update(inlet.latest())

    until(lambda: len(latest) == 2, step=step)
    for outlet in outlets:
        outlet.close()
    counted = {part: told.samples[0].values[0] for (part, _), told in latest.items()}
    assert counted == {"cameras": 0, "inference": 1}


def test_time_stamps_are_put_on_the_time_of_day_here(
    tmp_path: Path, context: Context, address: str, inlet: TelemetryInlet
) -> None:
    ledger = Ledger()
    sent_ns = 1_000 * 10**9  # Their clock has never been set.
    ledger.gauge("streamline_last_frame_timestamp_seconds", camera="left").set(sent_ns / 1e9 - 7)
    ledger.gauge("streamline_last_frame_timestamp_seconds", camera="never").set(0.0)
    ledger.open(tmp_path / "a.ledger")
    stranger = context.socket(zmq.PUSH)
    stranger.connect(address)
    earliest_s = wall_ns() / 1e9
    body = (tmp_path / "a.ledger").read_bytes()
    stranger.send_multipart([msgspec.msgpack.encode(["a-part", "a", sent_ns]), body])
    until(lambda: bool(inlet.latest()))
    (told,) = inlet.latest().values()
    left, never = (float(sample.values[0]) for sample in told.samples)
    assert earliest_s - 7 <= left <= wall_ns() / 1e9 - 7 + 1e-3
    assert never == 0
    stranger.close(linger=0)
    ledger.close()


def test_sending_where_nobody_listens_never_waits(context: Context, ledgers: list[bytes]) -> None:
    outlet = TelemetryOutlet(context, "tcp://127.0.0.1:9", "a-part")
    for _ in range(100):
        outlet.send("left", ledgers[0])
    outlet.close()


def test_noise_is_ignored_and_changes_nothing(
    context: Context, address: str, inlet: TelemetryInlet, ledgers: list[bytes]
) -> None:
    stranger = context.socket(zmq.PUSH)
    stranger.connect(address)
    stranger.send_multipart([head("left"), ledgers[2]])
    until(lambda: counts(inlet) == {"left": 2})

    @given(noise=st.lists(st.binary(max_size=300), min_size=1, max_size=3))
    def check(noise: list[bytes]) -> None:
        stranger.send_multipart(noise)
        stranger.send_multipart([head("left"), *noise])
        assert counts(inlet) == {"left": 2}

    check()
    stranger.send_multipart([head("left"), ledgers[3]])
    until(lambda: counts(inlet) == {"left": 3})
    stranger.close(linger=0)


def test_known_workers_are_followed_however_many_strangers_there_are(
    context: Context, address: str, inlet: TelemetryInlet, ledgers: list[bytes]
) -> None:
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


def test_a_telemetry_address_in_use_is_refused_in_one_sentence(
    context: Context, address: str, inlet: TelemetryInlet
) -> None:
    assert inlet.latest() == {}
    with pytest.raises(InputError, match=rf"links\.telemetry: can't listen on {address}: Addr"):
        TelemetryInlet(context, address)
