"""Puts events into the outbox without holding up whoever has them: disks take their time."""

from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from streamline.alert.outbox import Outbox, Posted

__all__ = ["Poster"]

_LOOK_S: Final = 1.0


class Poster(Thread):
    """A thread that posts what it is handed, all that has come meanwhile in one transaction."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(name="poster", daemon=True)
        self._outbox = outbox
        self._queue: SimpleQueue[Posted | None] = SimpleQueue()
        self._handed = 0
        self._posted = 0

    def hand(self, event: Posted) -> None:
        """Take an event, which is in the outbox a little later."""
        self._handed += 1
        self._queue.put(event)

    @property
    def is_done(self) -> bool:
        """Whether everything that was handed is in the outbox, for whoever handed it."""
        return self._posted == self._handed

    def run(self) -> None:
        """Post until closed."""
        while True:
            events = [*self._first(), *self._more()]
            known = [event for event in events if event is not None]
            if known:
                self._outbox.post(known)
                self._posted += len(known)
            if len(known) < len(events):
                return

    def close(self) -> None:
        """Post what has been handed, then end."""
        self._queue.put(None)
        self.join()

    def _first(self) -> list[Posted | None]:
        """Wait for the next one; while none comes, see to what waits in memory."""
        try:
            return [self._queue.get(timeout=_LOOK_S)]
        except Empty:
            self._outbox.look_after()
            return []

    def _more(self) -> list[Posted | None]:
        found: list[Posted | None] = []
        while True:
            try:
                found.append(self._queue.get_nowait())
            except Empty:
                return found
