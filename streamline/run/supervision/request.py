"""Asking something of a line, from a signal handler too."""

from queue import Empty, SimpleQueue

__all__ = ["Request"]


class Request:
    """Made at any moment, also while the very thread that waits for it is anywhere inside.

    A signal handler runs between two steps of the main thread.  `threading.Event` must not be set
    there: if its wait holds its lock just then, the handler waits for that lock for ever.  Putting
    into a `queue.SimpleQueue` is reentrant.
    """

    def __init__(self) -> None:
        self._requests: SimpleQueue[None] = SimpleQueue()

    def make(self) -> None:
        """Ask; more than once is as good as once."""
        self._requests.put(None)

    @property
    def made(self) -> bool:
        """Whether anybody has asked."""
        return not self._requests.empty()

    def wait(self, timeout_s: float) -> None:
        """Return when somebody asks, or has asked, or after *timeout_s*."""
        try:
            self._requests.get(timeout=timeout_s)
        except Empty:
            return
        self._requests.put(None)  # It stays made.

    def take(self) -> bool:
        """Whether anybody has asked since this was called last."""
        asked = False
        while self.made:
            self._requests.get()
            asked = True
        return asked
