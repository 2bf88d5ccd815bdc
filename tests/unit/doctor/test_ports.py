"""Ports are tried, with real sockets."""

import socket
from pathlib import Path

from streamline.config import Pipeline, load
from streamline.doctor.finding import Status
from streamline.doctor.ports import ports
from tests.support.ports import free_port


def pipeline(folder: Path, text: str) -> Pipeline:
    (folder / "line.yaml").write_text(f"version: 1\nmodel: m\ncameras: {{a: usb:0}}\n{text}")
    return load(folder / "line.yaml")


def test_a_port_that_somebody_has_is_told_with_its_line_and_how_to_see_who(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        line = pipeline(tmp_path, f"metrics:\n  port: {number}\n")
        (found,) = ports(line, is_running=False)
        (excused,) = ports(line, is_running=True)
    assert found.status is Status.FAIL
    assert f"line.yaml:5: metrics.port: 127.0.0.1 port {number}: Address already" in found.what
    assert f"sport = :{number}" in found.remedy
    assert excused.status is Status.OK


def test_links_and_publishers_are_looked_at_where_this_computer_listens(tmp_path: Path) -> None:
    here = free_port()
    text = (
        "metrics: {port: null}\n"
        f'links: {{plain: true, prepared: "tcp://127.0.0.1:{here}", '
        'scores: "tcp://192.0.2.7:5702"}\n'
        'alert: {sinks: [{type: zmq, address: "tcp://*:0", plain: true}]}\n'
    ).replace("*:0", f"*:{free_port()}")
    first, second, third = ports(pipeline(tmp_path, text), is_running=False)
    assert {one.status for one in (first, second, third)} == {Status.OK}
    assert "links.prepared (127.0.0.1" in first.what
    assert second.what.endswith("is on another computer")
    assert "alert.sinks.0.address (0.0.0.0" in third.what


def test_figures_can_be_shown_on_this_computer_only(tmp_path: Path) -> None:
    line = pipeline(tmp_path, "metrics: {address: 192.0.2.7, plain: true}\n")
    (found,) = ports(line, is_running=False)
    assert (found.status, "192.0.2.7 is not this computer's" in found.what) == (Status.FAIL, True)
