"""The same event again and again: a few are told, the others counted."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import structlog

from streamline.clock import monotonic_ns

__all__ = ["Repetition"]

Event = structlog.typing.EventDict

_MOST: Final = 5
"""Events of one kind that are told in a window."""

_WINDOW_NS: Final = 60_000_000_000
_VARIES: Final = frozenset({"timestamp", "why", "error", "frame", "exception"})
"""Texts that differ although the event is the same."""


@dataclass(slots=True)
class _Kind:
    begun_ns: int
    told: int = 0
    withheld: int = 0
    last: Event | None = None


class Repetition:
    """Lets a few events of each kind through a minute, and says how many it kept back.

    Events are of one kind if level, event and every text in them are equal, but those that say
    why; numbers don't count. An alert has an id, so none is ever kept back. What was kept back is
    told by the last of it, with `repeated`, when the next event of any kind comes after the minute.

    Parameters
    ----------
    clock : callable
        Gives the present time in ns.
    """

    def __init__(self, clock: Callable[[], int] = monotonic_ns) -> None:
        self._clock = clock
        self._kinds: dict[tuple[object, ...], _Kind] = {}
        self._lock = threading.Lock()

    def admit(self, event: Event) -> list[Event]:
        """Return what is to be told now: what was counted and is due, then this, if it may."""
        now_ns = self._clock()
        key = tuple(
            (name, value)
            for name, value in sorted(event.items())
            if isinstance(value, str) and name not in _VARIES
        )
        with self._lock:
            due = list(self._due(now_ns))
            kind = self._kinds.setdefault(key, _Kind(now_ns))
            if kind.told < _MOST:
                kind.told += 1
                return [*due, event]
            kind.withheld += 1
            kind.last = event
            return due

    def rest(self) -> list[Event]:
        """Return what was counted and not told, due or not; for the end."""
        with self._lock:
            return list(self._due(None))

    def _due(self, now_ns: int | None) -> Iterator[Event]:
        """Forget each kind whose window is over, and yield what it kept back."""
        for key, kind in list(self._kinds.items()):
            if now_ns is None or now_ns - kind.begun_ns >= _WINDOW_NS:
                del self._kinds[key]
                if kind.last is not None:
                    more = {"repeated": kind.withheld - 1} if kind.withheld > 1 else {}
                    yield {**kind.last, **more}
