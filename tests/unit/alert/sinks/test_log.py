"""Alerts in the log: what a person wants to know at once."""

import json

import pytest
import structlog

from streamline.alert.sinks import LogSink


@pytest.mark.parametrize(
    ("kind", "level", "says"),
    [
        ("new", "warning", "alert begins"),
        ("update", "info", "alert goes on"),
        ("end", "info", "alert ends"),
    ],
)
def test_the_log_shows_the_fields_of_an_event(kind: str, level: str, says: str) -> None:
    event = json.dumps({"type": kind, "id": "left-ff-7", "score": 2.5}).encode()
    with structlog.testing.capture_logs() as logs:
        sink = LogSink()
        sink.deliver("left-ff-7", event)
        sink.close()
    assert logs == [{"event": says, "log_level": level, "id": "left-ff-7", "score": 2.5}]
