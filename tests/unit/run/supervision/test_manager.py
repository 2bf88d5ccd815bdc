"""What a service manager is told arrives at a real datagram socket, in its own words."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from streamline.run.supervision.manager import ServiceManager
from tests.support.descriptors import no_descriptors
from tests.support.manager import Listener
from tests.support.until import until


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    """A socket in a folder, as systemd has it, or with a name alone, as containers have it."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@streamline-{uuid4()}"
    with Listener(address) as listener:
        yield listener


def test_every_word_of_the_protocol_arrives(listener: Listener) -> None:
    environment = {"NOTIFY_SOCKET": listener.address}
    before_us = time.monotonic_ns() // 1000
    with closing(ServiceManager.from_environment(environment)) as manager:
        manager.ready("2 of 2 cameras ok")
        manager.alive()
        manager.reloading()
        manager.status("left is down")
        manager.stopping("draining")
    until(lambda: len(listener.heard) == 5)
    ready, alive, reloading, status, stopping = listener.heard
    assert ready == ["READY=1", "STATUS=2 of 2 cameras ok"]
    assert alive == ["WATCHDOG=1"]
    assert reloading[0] == "RELOADING=1"
    # systemd wants the moment by the clock that it has too, in microseconds.
    name, _, moment = reloading[1].partition("=")
    assert name == "MONOTONIC_USEC"
    assert before_us <= int(moment) <= time.monotonic_ns() // 1000
    assert status == ["STATUS=left is down"]
    assert stopping == ["STOPPING=1", "STATUS=draining"]


def test_a_status_is_one_line_whatever_is_in_it(listener: Listener) -> None:
    with closing(ServiceManager(listener.address)) as manager:
        manager.status("line.yaml:3: name: wrong\nREADY=1\r\nline.yaml:4: " + "x" * 2000)
    until(lambda: bool(listener.heard))
    ((line,),) = listener.heard
    assert line.startswith("STATUS=line.yaml:3: name: wrong READY=1 line.yaml:4: xxx")
    assert len(line) < 600


def test_a_status_may_name_a_file_whose_name_is_no_text(listener: Listener) -> None:
    with closing(ServiceManager(listener.address)) as manager:
        manager.status(os.fsdecode(b"line-\xff.yaml: is wrong"))
    until(lambda: listener.heard == [["STATUS=line-?.yaml: is wrong"]])


def test_a_manager_hears_that_we_live_where_nothing_can_be_opened(listener: Listener) -> None:
    with closing(ServiceManager(listener.address)) as manager, no_descriptors():
        manager.alive()
    until(lambda: listener.heard == [["WATCHDOG=1"]])


def test_programs_started_below_do_not_inherit_the_address() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    ServiceManager.from_environment(environment).close()
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        pytest.param({"WATCHDOG_USEC": "30000000"}, 30.0, id="for-whoever-is-started"),
        pytest.param(
            {"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5, id="for-us"
        ),
        pytest.param({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None, id="for-another"),
        pytest.param({"WATCHDOG_USEC": "0"}, None, id="off"),
        pytest.param({"WATCHDOG_USEC": "soon"}, None, id="no-number"),
        pytest.param({}, None, id="not-asked-for"),
    ],
)
def test_signs_of_life_are_given_to_who_asks_for_them(
    environment: dict[str, str], watchdog_s: float | None
) -> None:
    manager = ServiceManager.from_environment({"NOTIFY_SOCKET": "/run/x", **environment})
    manager.close()
    assert manager.watchdog_s == watchdog_s


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative"])
def test_without_a_manager_nothing_is_told_and_nothing_fails(address: str) -> None:
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}
    with capture_logs() as logs:
        manager = ServiceManager.from_environment(environment)
        manager.ready("up")
    assert manager.watchdog_s is None
    assert not logs


def test_a_manager_that_is_gone_is_complained_of_once(tmp_path: Path) -> None:
    with capture_logs() as logs, closing(ServiceManager(str(tmp_path / "nobody"))) as manager:
        manager.ready("up")
        manager.alive()
    assert [one["log_level"] for one in logs] == ["warning"]
