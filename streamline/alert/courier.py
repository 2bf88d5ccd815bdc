"""Brings one sink what the outbox holds for it, and tries again for as long as it takes."""

from collections.abc import Callable
from threading import Event, Thread
from typing import Final

import structlog

from streamline.alert.outbox import Outbox, Posted
from streamline.alert.sinks.protocol import Lasting, RejectedError, Sink
from streamline.backoff import Backoff
from streamline.clock import monotonic_ns

__all__ = ["Courier", "Told"]

_log = structlog.get_logger("streamline.alert")

_IDLE_S: Final = 1.0

Told = Callable[[str], None]
"""Counts what became of an event: ok, failed or rejected."""


class Courier(Thread):
    """One sink's thread: a slow or dead one holds up nobody else.

    Parameters
    ----------
    name : str
        The sink's in the outbox.
    open_sink : callable
        Opens it, in the thread that uses it.
    outbox : Outbox
    told : callable
        Called after each try, in this thread.
    patient : bool
        Whether a sink that can't be opened is tried again, and is not its starter's to refuse.
    """

    def __init__(
        self,
        name: str,
        open_sink: Callable[[], Sink],
        outbox: Outbox,
        told: Told,
        *,
        patient: bool,
    ) -> None:
        super().__init__(name=f"sink-{name}", daemon=True)
        self._sink_name = name
        self._open = open_sink
        self._outbox = outbox
        self._told = told
        self._patient = patient
        self._stopping = Event()
        self._deadline_ns = 0
        self._failed = False
        self._unsettled = 0
        self._backoff = Backoff(sustained_s=0.0)
        self.opened = Event()
        """Set once the sink is open, or can't be just now."""

        self.failure: Exception | None = None

    def run(self) -> None:
        """Deliver until stopped."""
        sink = self._opened()
        if sink is None:
            return
        seen = 0
        try:
            while self._deliver_all(sink) and not self._stopping.is_set():
                seen = self._outbox.await_post(seen, _IDLE_S)
        finally:
            self._close(sink)

    def stop(self, within_s: float) -> None:
        """Deliver what waits as far as that succeeds at once and in time; then end."""
        self._deadline_ns = monotonic_ns() + round(within_s * 1e9)
        self._stopping.set()
        self._outbox.wake()

    def _opened(self) -> Sink | None:
        """Open the sink, however often that takes; None if it can't be."""
        while True:
            try:
                return self._open()
            except Exception as exc:  # noqa: BLE001 - whoever started this raises it
                if not self._patient:
                    self.failure = exc
                    return None
                self._complain(exc)
            finally:
                self.opened.set()
            if not self._wait():
                return None

    def _close(self, sink: Sink) -> None:
        try:
            sink.close()
        except Exception as exc:  # noqa: BLE001 - whatever a library raises, the thread ends well
            _log.warning("sink can't be closed", sink=self._sink_name, why=str(exc))

    def _deliver_all(self, sink: Sink) -> bool:
        """Bring what waits; false if this is the end."""
        while batch := self._outbox.next(self._sink_name):
            told = 0
            for event in batch:
                if self._is_late() or not self._brought(sink, event):
                    break
                told = event.number
            if self._unsettled and not self._settled(sink):
                told = 0
            if told:
                self._outbox.tell(self._sink_name, told)
            if told != batch[-1].number and not self._wait():
                return False
        return True

    def _brought(self, sink: Sink, event: Posted) -> bool:
        """Try once."""
        try:
            sink.deliver(event.id, event.body)
        except RejectedError as exc:
            self._told("rejected")
            _log.error("sink refuses an alert", sink=self._sink_name, id=event.id, why=str(exc))
        except Exception as exc:  # noqa: BLE001 - whatever a library raises, the event is owed
            self._told("failed")
            self._complain(exc)
            return False
        else:
            if isinstance(sink, Lasting):
                self._unsettled += 1
            else:
                self._succeed(1)
        return True

    def _settled(self, sink: Sink) -> bool:
        """Let a sink that keeps events itself make them last: only then they are delivered."""
        events, self._unsettled = self._unsettled, 0
        try:
            if isinstance(sink, Lasting):
                sink.settle()
        except OSError as exc:
            self._told("failed")
            self._complain(exc)
            return False
        self._succeed(events)
        return True

    def _succeed(self, events: int) -> None:
        for _ in range(events):
            self._told("ok")
        self._backoff.delivered()
        if self._failed:
            self._failed = False
            _log.warning("sink is told again", sink=self._sink_name)

    def _complain(self, exc: Exception) -> None:
        if not self._failed:
            self._failed = True
            why = str(exc) or type(exc).__name__
            _log.error("sink can't be told, tries go on", sink=self._sink_name, why=why)

    def _wait(self) -> bool:
        """Wait until the next try; false if there is none any more."""
        return not self._stopping.wait(self._backoff.failed())

    def _is_late(self) -> bool:
        return self._stopping.is_set() and monotonic_ns() > self._deadline_ns
