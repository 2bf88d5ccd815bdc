"""Read a camera at its own pace while what was read before is still being worked on."""

from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from threading import Event, Thread
from typing import Generic, TypeVar

__all__ = ["read_ahead"]

Item = TypeVar("Item")


class _End(Generic[Item]):
    """Comes last, with what ended the reading."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error


def read_ahead(items: Iterable[Item], /, *, limit: int) -> Iterator[Item]:
    """Yield the items in order; take them in a thread of its own, as fast as they come.

    A camera that is not read in time drops frames or the connection, and feature extraction is
    slower than many cameras. While `limit` items wait to be yielded, further ones are let go.
    """
    held: SimpleQueue[Item | _End[Item]] = SimpleQueue()
    stop = Event()
    thread = Thread(target=_read, args=(items, held, stop, limit), name="read-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := held.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        thread.join()


def _read(
    items: Iterable[Item], held: SimpleQueue[Item | _End[Item]], stop: Event, limit: int
) -> None:
    try:
        for item in items:
            if held.qsize() < limit:
                held.put(item)
            if stop.is_set():
                break
    except Exception as exc:  # noqa: BLE001 - raised again in the caller's thread
        held.put(_End(exc))
    else:
        held.put(_End(None))
