"""What every stage's thread has in common."""

from abc import abstractmethod
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Thread, get_native_id
from typing import Final

import structlog
import zmq

from streamline.clock import monotonic_ns
from streamline.config import Links, Pipeline
from streamline.ledger import Ledger
from streamline.run.control import Control, Phase
from streamline.run.keyring import Keyring
from streamline.run.placement import InferShare
from streamline.run.runtime import Runtime
from streamline.transport.link import Context, Delivery
from streamline.transport.parcels import Copied, Parcels
from streamline.transport.refusals import Refusals

__all__ = ["CLOSE_S", "TICK_MS", "Site", "Stage"]

_log = structlog.get_logger("streamline.run")

TICK_MS: Final = 20
"""Longest time a stage sleeps: bounds how late it sees the line's phase."""

CLOSE_S: Final = 10.0
"""Longest time a stage takes to store what it still has once the line has ended."""

_CHORES_NS: Final = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Site:
    """Where a stage runs: everything it shares with the others of its worker."""

    pipeline: Pipeline
    runtime: Runtime
    control: Control
    context: Context
    ledger: Ledger
    keyring: Keyring = field(default_factory=partial(Keyring, Links()))
    parcels: Parcels = field(default_factory=Copied)
    """How frames get from their sources to the preprocess stages."""

    def address(self, link: str) -> str:
        """Endpoint of one of the pipeline's links."""
        return self.runtime.address(link, getattr(self.pipeline.links, link))

    def frames_address(self, camera: str) -> str:
        """Endpoint of the link from a camera's source to its preprocess stage.

        A preprocess stage in the source's own process serves that camera alone.
        """
        if self.pipeline.links.frames == "inproc":
            return self.runtime.address(f"frames-{camera}", "inproc")
        return self.address("frames")

    def prepared_address(self, share: InferShare) -> str:
        """Endpoint of the link from preprocess to one of the infer stages."""
        return self.runtime.address("prepared", self.pipeline.links.prepared, share.number)

    def refusals(self, link: str) -> Refusals:
        """Declare the counter of messages that an end of a link refuses."""
        counter = self.ledger.counter("streamline_link_refused_total", link=link, reason="message")
        return Refusals(link, counter)

    def trusts(self, error_ns: int | None) -> bool:
        """Whether a time that may be so far off is good enough to claim a duration."""
        return error_ns is not None and error_ns <= self.pipeline.links.clock_error_ms * 1e6

    def queued_ns(self, delivery: Delivery) -> int | None:
        """When a message was queued, if that is known well enough."""
        return delivery.queued_ns if self.trusts(delivery.shift.error_ns) else None


class Stage(Thread):
    """One stage of the line in a thread of its own.

    The constructor declares counters and opens nothing; the thread makes its sockets, sets
    `ready` once it could take a frame, and ends when the line finishes.  What goes wrong is
    kept in `failure` for the worker to report.
    """

    def __init__(self, site: Site, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.site = site
        self.connected = Event()
        """Set once everything behind this stage is ready, whatever is missing before it."""

        self.ready = Event()
        self.finished = Event()
        self.failure: Exception | None = None
        self._pulse = site.ledger.gauge("stage_pulse_seconds", stage=name)
        self._thread = site.ledger.gauge("stage_thread", stage=name)
        self._chores_ns = 0

    def run(self) -> None:
        """Work until the line finishes."""
        self._thread.set(float(get_native_id()))
        try:
            self.work()
        except Exception as exc:  # noqa: BLE001 - a thread's last resort: the worker reports it
            self.failure = exc
        finally:
            self._pulse.set(0.0)
            self.finished.set()

    @abstractmethod
    def work(self) -> None:
        """Do the stage's job; return when the line finishes."""

    def beat(self) -> None:
        """Show the supervisor that the stage goes round; one that has begun and stops is stuck."""
        self._pulse.set(monotonic_ns() / 1e9)

    def chores_are_due(self) -> bool:
        """Whether it is time again for what need not be done at every message."""
        now_ns = monotonic_ns()
        if now_ns < self._chores_ns:
            return False
        self._chores_ns = now_ns + _CHORES_NS
        return True

    @property
    def phase(self) -> Phase:
        """The line's phase."""
        return self.site.control.phase

    @property
    def starts_anew(self) -> bool:
        """Whether the line starts: later a disk that fails must end nobody."""
        return self.phase is Phase.STARTING

    @staticmethod
    def poller(*sockets: zmq.Socket[bytes] | int) -> zmq.Poller:
        """Watch sockets and descriptors for input."""
        poller = zmq.Poller()
        for socket in sockets:
            poller.register(socket, zmq.POLLIN)
        return poller
