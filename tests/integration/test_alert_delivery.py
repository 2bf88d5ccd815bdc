"""An alert that was raised is delivered: to sinks that are away, by stages that die."""

import json
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.line import RunningLine, eventually, json_lines
from tests.support.modbus import FIRST, controller, read_registers
from tests.support.mosquitto import broker, heard_events, is_installed, subscribe, subscriber
from tests.support.ports import free_port
from tests.support.receiver import names, receiver

Event = dict[str, Any]


def write_line(
    folder: Path, model: Path, sinks: list[dict[str, Any]], plc: dict[str, Any] | None = None
) -> Path:
    source = {"type": "demo", "part": "inspect", "pace": 25, "loop": True}
    line = {
        "version": 1,
        "name": "line1",
        "model": str(model),
        "cameras": {name: {"source": source} for name in ("left", "right")},
        "alert": {
            "sinks": [{"type": "jsonl", "path": "alerts.jsonl"}, *sinks],
            "outbox": {"path": "outbox.db"},
            "plc": plc,
        },
        "record": {"verdicts": "verdicts.jsonl"},
        "metrics": {"port": 0},
    }
    path = folder / "line1.yaml"
    path.write_text(json.dumps(line))
    return path


def kill(line: RunningLine, title: str) -> None:
    for child in psutil.Process(line.pid).children(recursive=True):
        if child.name() == title:
            child.kill()


def test_what_a_dead_webhook_missed_it_gets_later_whoever_died_meanwhile(
    tmp_path: Path, demo_model: Path
) -> None:
    port = free_port()
    hook = {"type": "webhook", "url": f"http://127.0.0.1:{port}/hook"}
    alerts = tmp_path / "alerts.jsonl"
    with RunningLine(write_line(tmp_path, demo_model, [hook]), tmp_path) as line:
        line.await_ready()
        eventually(lambda: len(json_lines(alerts)) >= 3, "alerts")
        kill(line, "sl:alert")
        held = len(json_lines(alerts))
        eventually(lambda: len(json_lines(alerts)) > held + 2, "alerts after the stage died")
        eventually(
            lambda: line.metric("streamline_outbox_pending", sink="webhook") >= held,
            "alerts wait for the webhook",
        )
        assert line.metric("streamline_outbox_durable") == 1
        with receiver(port) as web:
            eventually(
                lambda: line.metric("streamline_outbox_pending", sink="webhook") == 0,
                "nothing waits any more",
            )
            line.stop()
            assert line.wait() == 0, line.log
    told = json_lines(alerts)
    verdicts = json_lines(tmp_path / "verdicts.jsonl")
    raised = {verdict["alert"] for verdict in verdicts if verdict["alert"]}
    assert {alert for alert, kind in names(told) if kind == "new"} == raised
    assert names(web.got) == names(told)
    assert not (tmp_path / "outbox.db").exists()


def test_what_waits_at_the_end_is_delivered_by_the_next_start(
    tmp_path: Path, demo_model: Path
) -> None:
    port = free_port()
    hook = {"type": "webhook", "url": f"http://127.0.0.1:{port}/hook", "timeout_s": 1}
    pipeline = write_line(tmp_path, demo_model, [hook])
    alerts = tmp_path / "alerts.jsonl"
    with RunningLine(pipeline, tmp_path) as line:
        line.await_ready()
        eventually(lambda: len(json_lines(alerts)) >= 3, "alerts")
        line.stop()
        assert line.wait() == 0, line.log
        assert "alerts wait for the next start" in line.log
    first = names(json_lines(alerts))
    assert (tmp_path / "outbox.db").exists()
    with receiver(port) as web, RunningLine(pipeline, tmp_path) as line:
        line.await_ready()
        eventually(lambda: names(web.got)[: len(first)] == first, "what waited comes first")
        line.stop()
        assert line.wait() == 0, line.log
    assert names(web.got) == names(json_lines(alerts))


@pytest.mark.skipif(not is_installed(), reason="no mosquitto here")
def test_a_broker_that_goes_away_and_comes_back_gets_every_alert(
    tmp_path: Path, demo_model: Path
) -> None:
    port, alerts, heard = free_port(), tmp_path / "alerts.jsonl", tmp_path / "heard"
    mqtt = {"type": "mqtt", "host": "127.0.0.1", "port": port, "topic": "plant", "timeout_s": 2}

    def told() -> list[Event]:
        return heard_events(heard)

    def has_all() -> bool:
        return names(told()) == names(json_lines(alerts))

    with broker(tmp_path, port):
        subscribe(port)
    with RunningLine(write_line(tmp_path, demo_model, [mqtt]), tmp_path) as line:
        line.await_ready()
        with broker(tmp_path, port), subscriber(port, heard):
            eventually(lambda: len(told()) >= 2, "alerts come")
        held = len(json_lines(alerts))
        eventually(lambda: len(json_lines(alerts)) > held + 2, "alerts without a broker")
        with broker(tmp_path, port), subscriber(port, heard):
            eventually(lambda: len(names(told())) > held + 2, "alerts come again")
            line.stop()
            assert line.wait() == 0, line.log
            eventually(has_all, "the subscriber has every alert, in order")
            eventually(lambda: heard.read_text().rstrip().endswith("offline"), "it is offline")
    assert heard.read_text().startswith("online")


def test_a_controller_is_shown_verdicts_and_a_heartbeat_and_an_end(
    tmp_path: Path, demo_model: Path
) -> None:
    port = free_port()
    plc = {"host": "127.0.0.1", "port": port, "address": FIRST, "period_ms": 20}
    with (
        controller(port),
        RunningLine(write_line(tmp_path, demo_model, [], plc), tmp_path) as line,
    ):
        line.await_ready()
        seen: set[tuple[int, int]] = set()

        def has_seen(*states: tuple[int, int]) -> bool:
            left = read_registers(port)[2:4]
            seen.add((left[0], left[1]))
            return set(states) <= seen

        eventually(lambda: has_seen((1, 0), (2, 1)), "a pass without an alert, a fail with one")
        eventually(lambda: line.metric("streamline_plc_up") == 1, "the controller answers")
        eventually(lambda: read_registers(port)[0] > 150, "the heart has beaten for a while")
        kill(line, "sl:alert")
        eventually(lambda: 0 < read_registers(port)[0] < 150, "a successor's heart beats")
        seen.clear()
        eventually(lambda: has_seen((1, 0), (2, 1)), "it shows verdicts too")
        line.stop()
        assert line.wait() == 0, line.log
        _, runs, left, _, right, _ = read_registers(port)
        assert (runs, left, right) == (0, 0, 0)
