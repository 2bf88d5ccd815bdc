"""Brokers, web servers and controllers are connected to, and nothing is sent."""

import socket
from pathlib import Path

from streamline.config import load
from streamline.doctor.finding import Status
from streamline.doctor.receivers import receivers
from tests.support.ports import refusing_port


def test_each_receiver_is_tried_and_one_that_is_away_is_no_fault(tmp_path: Path) -> None:
    with refusing_port() as away, socket.create_server(("127.0.0.1", 0)) as server:
        here = server.getsockname()[1]
        (tmp_path / "line.yaml").write_text(
            "version: 1\nmodel: m\ncameras: {a: usb:0}\nalert:\n  sinks:\n"
            f"    - {{type: webhook, url: 'http://127.0.0.1:{here}/alerts'}}\n"
            f"    - {{type: mqtt, host: 127.0.0.1, port: {away}}}\n"
            "    - {type: log}\n"
            f"  plc: {{host: 127.0.0.1, port: {here}}}\n"
        )
        hook, broker, controller = receivers(load(tmp_path / "line.yaml"))
    assert (hook.check, hook.status) == ("sink webhook", Status.OK)
    assert (controller.check, controller.status) == ("controller", Status.OK)
    assert (broker.check, broker.status) == ("sink mqtt", Status.WARN)
    assert broker.what == f"127.0.0.1 port {away} can't be connected to: Connection refused"


def test_a_line_that_tells_nobody_over_the_network_is_asked_nothing(tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text("version: 1\nmodel: m\ncameras: {a: usb:0}\n")
    assert list(receivers(load(tmp_path / "line.yaml"))) == []
