"""What becomes of alerts that no sink has taken when a line ends."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq
from structlog.testing import capture_logs

from streamline.alert.events import AlertEvent, EventType
from streamline.config import load
from streamline.ledger import Ledger
from streamline.run.control import Control
from streamline.run.runtime import Runtime
from streamline.run.stages.delivery import AlertDelivery
from streamline.run.stages.stage import Site
from tests.support.disks import files_no_longer_than
from tests.support.line import eventually
from tests.support.mosquitto import broker, is_installed
from tests.support.ports import free_port


@contextmanager
def delivery_to(
    sink: str, folder: Path, *, ledger: Ledger | None = None, max_events: int = 100
) -> Iterator[AlertDelivery]:
    """Of a line with one sink."""
    (folder / "line.yaml").write_text(
        "version: 1\nname: packing\nmodel: m\ncameras: {left: demo://inspect}\n"
        f"alert: {{sinks: [{{{sink}}}], outbox: {{path: outbox.db, max_events: {max_events}}}}}\n"
    )
    Control.create(folder / "control")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield AlertDelivery(
        Site(
            pipeline=load(folder / "line.yaml"),
            runtime=Runtime(folder),
            control=Control(folder / "control"),
            context=context,
            ledger=ledger or Ledger(),
        )
    )
    context.term()


@pytest.fixture
def delivery(tmp_path: Path) -> Iterator[AlertDelivery]:
    """To a file on a disk that is full."""
    with delivery_to("type: jsonl, path: /dev/full", tmp_path) as found:
        yield found


def event(seq: int) -> AlertEvent:
    return AlertEvent(
        type=EventType.NEW,
        id=f"left-1-{seq}",
        line="line",
        camera="left",
        incarnation=1,
        seq=seq,
        captured="2026-01-01T00:00:00.000000Z",
        score=2.0,
        p_value=0.01,
        threshold=1.0,
        worst_score=2.0,
        since="2026-01-01T00:00:00.000000Z",
        model="ab" * 6,
        evidence=None,
    )


def told_at_the_end(delivery: AlertDelivery) -> list[tuple[str, int]]:
    """Hand three alerts, end, and return what is said of them."""
    for seq in range(3):
        delivery.hand(event(seq))
    with capture_logs() as logs:
        delivery.close()
    return [(line["event"], line["events"]) for line in logs if "events" in line]


def test_alerts_on_disk_wait_for_the_next_start(delivery: AlertDelivery) -> None:
    delivery.open(patient=False)
    assert told_at_the_end(delivery) == [("alerts wait for the next start", 3)]


def test_alerts_that_no_disk_took_are_said_to_be_lost(delivery: AlertDelivery) -> None:
    delivery.open(patient=False)
    with files_no_longer_than(4096):
        for seq in range(10, 40):
            delivery.hand(event(seq))
        eventually(lambda: not delivery.is_safe, "they wait in memory")
        assert told_at_the_end(delivery) == [("alerts are lost: no disk took them", 33)]


def discarded(folder: Path, ledger_file: str, *, events: int) -> float:
    """Run a line for which two events may wait; return how many were too many for it."""
    ledger = Ledger()
    with delivery_to(
        "type: jsonl, path: /dev/full", folder, ledger=ledger, max_events=2
    ) as delivery:
        ledger.open(folder / ledger_file)
        delivery.open(patient=False)
        for seq in range(events):
            delivery.hand(event(seq))
        with capture_logs():
            delivery.close()
    found = {one.name: one.values for one in ledger.samples()}
    ledger.close()
    return float(found["streamline_outbox_discarded_total"][0])


def test_events_that_were_too_many_are_counted_once_and_in_their_own_run(tmp_path: Path) -> None:
    assert discarded(tmp_path, "first", events=3) == 1
    assert discarded(tmp_path, "next", events=0) == 0
    assert discarded(tmp_path, "next", events=5) == 2
    assert discarded(tmp_path, "next", events=0) == 2
    (tmp_path / "outbox.db").unlink()
    assert discarded(tmp_path, "next", events=3) == 3


def test_what_a_damaged_file_cost_is_counted_where_it_is_opened(tmp_path: Path) -> None:
    assert discarded(tmp_path, "first", events=3) == 1
    path = tmp_path / "outbox.db"
    sound = path.read_bytes()
    (place,) = [
        page
        for page in range(0, len(sound), 4096)
        if b"left-1-2" in sound[page : page + 4096] and b"worst" in sound[page : page + 4096]
    ]
    path.write_bytes(sound[:place] + bytes(4096) + sound[place + 4096 :])
    assert discarded(tmp_path, "next", events=0) == 2


@pytest.mark.skipif(not is_installed(), reason="no mosquitto here")
def test_two_lines_at_one_broker_have_topics_of_their_own_unless_they_are_told(
    tmp_path: Path,
) -> None:
    port = free_port()
    hear = ["mosquitto_sub", "-p", str(port), "-V", "5", "-C", "1", "-W", "60", "-F", "%t %p"]
    with (
        broker(tmp_path, port),
        delivery_to(f"type: mqtt, host: 127.0.0.1, port: {port}", tmp_path) as delivery,
    ):
        delivery.open(patient=False)
        heard = subprocess.run([*hear, "-t", "#"], capture_output=True, text=True, check=True)
        delivery.close()
    assert heard.stdout == "streamline/packing/availability online\n"
