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
def delivery_to(sink: str, folder: Path) -> Iterator[AlertDelivery]:
    """Of a line with one sink."""
    (folder / "line.yaml").write_text(
        "version: 1\nname: packing\nmodel: m\ncameras: {left: demo://inspect}\n"
        f"alert: {{sinks: [{{{sink}}}], outbox: {{path: outbox.db}}}}\n"
    )
    Control.create(folder / "control")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield AlertDelivery(
        Site(
            pipeline=load(folder / "line.yaml"),
            runtime=Runtime(folder),
            control=Control(folder / "control"),
            context=context,
            ledger=Ledger(),
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
