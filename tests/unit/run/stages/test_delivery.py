"""What becomes of alerts that no sink has taken when a line ends."""

from collections.abc import Iterator
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


@pytest.fixture
def delivery(tmp_path: Path) -> Iterator[AlertDelivery]:
    """To a file on a disk that is full."""
    (tmp_path / "line.yaml").write_text(
        "version: 1\nmodel: m\ncameras: {left: demo://inspect}\n"
        "alert: {sinks: [{type: jsonl, path: /dev/full}], outbox: {path: outbox.db}}\n"
    )
    Control.create(tmp_path / "control")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield AlertDelivery(
        Site(
            pipeline=load(tmp_path / "line.yaml"),
            runtime=Runtime(tmp_path),
            control=Control(tmp_path / "control"),
            context=context,
            ledger=Ledger(),
        )
    )
    context.term()


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
