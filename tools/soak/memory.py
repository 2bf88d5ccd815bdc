"""What each process of a line holds, and whether that grows while it lives."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Final, NamedTuple, Self

import numpy as np
import psutil

__all__ = ["Sample", "Watch", "growths"]

_EVERY_S: Final = 5.0
_WARM_S: Final = 120.0
"""Of a process' life, in which it may still take memory for good."""

_FEWEST: Final = 12
"""Samples that a straight line is fitted to, at least."""


class Sample(NamedTuple):
    """One process at one moment."""

    at_s: float
    name: str
    pid: int
    rss: int
    """Resident, bytes."""


class Watch:
    """Looks at the processes now and then, in a thread of its own.

    Parameters
    ----------
    processes : callable
        Returns them by name; some may end meanwhile.
    """

    def __init__(self, processes: Callable[[], Mapping[str, psutil.Process]]) -> None:
        self.samples: list[Sample] = []
        self._processes = processes
        self._ended = Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_EVERY_S):
            with suppress(psutil.Error):
                for name, process in self._processes().items():
                    rss = process.memory_info().rss
                    self.samples.append(Sample(time.monotonic(), name, process.pid, rss))


class Growth(NamedTuple):
    """Memory of one process over the longest of its lives."""

    mb_per_h: float
    """Slope of a straight line, MB (10⁶ bytes) an hour."""

    mb: float
    """How much that comes to over what was watched."""


def growths(samples: Sequence[Sample]) -> dict[str, Growth]:
    """Fit a straight line to the longest life of each process, warmed up; none if that is short."""
    found = {}
    for name in sorted({one.name for one in samples}):
        lives: dict[int, list[Sample]] = {}
        for one in samples:
            if one.name == name:
                lives.setdefault(one.pid, []).append(one)
        longest = max(lives.values(), key=lambda life: life[-1].at_s - life[0].at_s)
        steady = [one for one in longest if one.at_s - longest[0].at_s >= _WARM_S]
        if len(steady) >= _FEWEST:
            found[name] = _growth(steady)
    return found


def _growth(life: Sequence[Sample]) -> Growth:
    hours = np.array([one.at_s for one in life]) / 3600
    slope = float(np.polyfit(hours, np.array([one.rss for one in life]) / 1e6, 1)[0])
    return Growth(slope, slope * float(hours[-1] - hours[0]))
