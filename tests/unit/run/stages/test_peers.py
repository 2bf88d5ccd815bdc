"""What a stage publishes and logs of the other end of a link to another host."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
import zmq

from streamline.config import load
from streamline.ledger import Ledger
from streamline.run.control import Control
from streamline.run.runtime import Runtime
from streamline.run.stages.peers import Peers
from streamline.run.stages.stage import Site
from streamline.transport.link import Context, Inlet, Outlet
from tests.support.links import free_port
from tests.support.until import until

HERE = {"stage": "infer", "peer": "preprocess-left"}


@pytest.fixture
def context() -> Iterator[Context]:
    context: Context = zmq.Context()
    yield context
    context.term()


def site_of(folder: Path, context: Context, address: str) -> Site:
    """Where a stage runs whose prepared frames come over *address*."""
    (folder / "line.yaml").write_text(
        "version: 1\nmodel: m\ncameras: {left: demo://inspect}\n"
        f"links: {{prepared: '{address}', telemetry: 'tcp://127.0.0.1:{free_port()}'}}\n"
    )
    Control.create(folder / "control")
    return Site(
        pipeline=load(folder / "line.yaml"),
        runtime=Runtime(folder),
        control=Control(folder / "control"),
        context=context,
        ledger=Ledger(),
    )


@dataclass
class Ends:
    """Both ends of a link, of which the receiving one is told of."""

    site: Site
    peers: Peers
    inlet: Inlet
    outlet: Outlet[int]

    def figures(self) -> dict[str, float]:
        """What is published of the sending end, by series."""
        samples = self.site.ledger.samples()
        return {s.name: float(s.values[0]) for s in samples if s.labels == HERE}

    def is_up(self) -> bool:
        """Whether it is published to be there."""
        return self.figures()["streamline_link_up"] == 1

    def listen(self) -> None:
        """Let the receiving end work, and look."""
        self.inlet.exchange()
        self.peers.note(self.inlet.peers)

    def talk(self) -> None:
        """Let both work."""
        self.outlet.exchange()
        self.listen()


@pytest.fixture
def ends(tmp_path: Path, context: Context) -> Iterator[Ends]:
    address = f"tcp://127.0.0.1:{free_port()}"
    site = site_of(tmp_path, context, address)
    peers = Peers(site, "prepared", stage="infer", peers=["preprocess-left"])
    inlet = Inlet(context, address, window=1)
    inlet.admit()
    outlet = Outlet[int](context, address, name="preprocess-left", depth=1, evict=False)
    yield Ends(site, peers, inlet, outlet)
    if not outlet.socket.closed:
        outlet.close()
    inlet.close()


def test_a_peer_is_published_when_it_comes_and_when_it_goes(ends: Ends) -> None:
    with structlog.testing.capture_logs() as log:
        ends.peers.note(ends.inlet.peers)
        assert not ends.is_up()
        assert math.isnan(ends.figures()["streamline_clock_error_seconds"])
        until(lambda: ends.figures()["streamline_clock_error_seconds"] < 1, step=ends.talk)
        assert ends.is_up()
        # One clock at both ends.
        known = ends.figures()
        offset_s = known["streamline_clock_offset_seconds"]
        assert abs(offset_s) <= known["streamline_clock_error_seconds"]
        ends.outlet.close()
        until(lambda: not ends.is_up(), step=ends.listen)
        assert math.isnan(ends.figures()["streamline_clock_error_seconds"])
    assert log == [
        {"event": "peer is there", "log_level": "info", **HERE},
        {"event": "peer has ended", "log_level": "info", **HERE},
    ]


def test_a_peer_that_falls_silent_is_warned_of_once_and_may_come_back(ends: Ends) -> None:
    with structlog.testing.capture_logs() as log:
        until(ends.is_up, step=ends.talk)
        until(lambda: not ends.is_up(), step=ends.listen)
        until(ends.is_up, step=ends.talk)
    assert [(line["event"].split(",")[0], line["log_level"]) for line in log] == [
        ("peer is there", "info"),
        ("peer has vanished", "warning"),
        ("peer is there", "info"),
    ]


@pytest.mark.parametrize("kind", ["ipc", "inproc"])
def test_nothing_is_published_of_a_peer_on_this_host(
    kind: str, tmp_path: Path, context: Context
) -> None:
    site = site_of(tmp_path, context, kind)
    peers = Peers(site, "prepared", stage="infer", peers=["preprocess-left"])
    peers.note(lambda: pytest.fail("nobody is asked"))
    assert not site.ledger.samples()
