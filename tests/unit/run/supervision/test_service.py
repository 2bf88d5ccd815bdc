"""What a line keeps when its configuration changes, and what the signals mean to it."""

import os
import signal
from collections.abc import Iterator

import pytest

from streamline.config import Pipeline
from streamline.ledger import Ledger
from streamline.run.supervision.herald import Herald
from streamline.run.supervision.manager import ServiceManager
from streamline.run.supervision.service import Service, carried_over, signals


@pytest.fixture
def service() -> Service:
    return Service(herald=Herald(ServiceManager()))


@pytest.fixture
def no_handlers() -> Iterator[None]:
    """SIGHUP as a program finds it that nobody has told anything."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_counts_go_on_with_what_they_count_and_gauges_do_not(pipeline: Pipeline) -> None:
    alert, source = Ledger(), Ledger()
    for camera in ("left", "gone"):
        source.counter("streamline_frames_captured_total", camera=camera).add(20)
        source.gauge("streamline_frames_in_flight", camera=camera).set(3)
        alert.histogram("streamline_latency_seconds", (0.1, 1.0), camera=camera).observe(0.5)
        alert.ring("ring", 4, camera=camera).push(1)
    alert.counter("streamline_alerts_delivered_total", sink="gone", outcome="ok").add(1)
    source.counter("streamline_worker_restarts_total", worker="camera-gone").add(1)
    source.counter("streamline_worker_restarts_total", worker="camera-left").add(2)
    # Of an earlier configuration still: it is added up.
    earlier = Ledger()
    earlier.counter("streamline_frames_captured_total", camera="left").add(5)
    samples = [*alert.samples(), *source.samples(), *earlier.samples()]
    found = {
        (one.name, *one.labels.values()): one.values.tolist()
        for one in carried_over(samples, pipeline)
    }
    assert found == {
        ("streamline_frames_captured_total", "left"): [25.0],
        ("streamline_latency_seconds", "left"): [0.0, 1.0, 0.0, 0.5],
        ("streamline_worker_restarts_total", "camera-left"): [2.0],
    }


@pytest.mark.usefixtures("no_handlers")
def test_signals_are_asked_of_the_line_and_given_back(service: Service) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with signals(service, reloads=True):
        os.kill(os.getpid(), signal.SIGTERM)
        assert service.stop.made
    assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


@pytest.mark.usefixtures("no_handlers")
def test_a_line_that_can_not_reload_ends_on_a_hangup(service: Service) -> None:
    with signals(service, reloads=False):
        os.kill(os.getpid(), signal.SIGHUP)
        assert service.stop.made
        assert not service.reload.made


@pytest.mark.usefixtures("no_handlers")
def test_a_hangup_that_is_ignored_stays_ignored(service: Service) -> None:
    """As below nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with signals(service, reloads=True):
        os.kill(os.getpid(), signal.SIGHUP)
    assert not service.stop.made
    assert not service.reload.made
