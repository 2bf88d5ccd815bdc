"""What each process of a line holds, memory and descriptors, and whether that grows."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Final, NamedTuple, Self

import numpy as np
import psutil

__all__ = ["SHORTEST_S", "Growth", "Sample", "Watch", "growths", "minutes"]

_EVERY_S: Final = 5.0
_WARM_S: Final = 120.0
"""Of a process' life, in which it may still take memory for good."""

_FEWEST: Final = 12
"""Samples that a straight line is fitted to, at least."""

SHORTEST_S: Final = _WARM_S + _FEWEST * _EVERY_S
"""A life that is shorter is not measured."""

_MOST: Final = 500
"""Samples that a straight line is fitted to, at most: each is held against each."""


class Sample(NamedTuple):
    """One process at one moment."""

    at_s: float
    name: str
    pid: int
    rss: int
    """Resident, bytes."""

    descriptors: int
    """How many it has open."""


class Watch:
    """Looks at the processes now and then, in a thread of its own.

    What goes wrong in that thread is raised when the context ends: nothing passes unmeasured.

    Parameters
    ----------
    processes : callable
        Returns them by name; some may end meanwhile.
    every_s : float
        How often, s.
    """

    def __init__(
        self, processes: Callable[[], Mapping[str, psutil.Process]], *, every_s: float = _EVERY_S
    ) -> None:
        self.samples: list[Sample] = []
        self._processes = processes
        self._every_s = every_s
        self._ended = Event()
        self._failure: Exception | None = None
        self._thread = Thread(target=self._watch, daemon=True)

    @property
    def has_failed(self) -> bool:
        """Whether nothing is measured any more."""
        return self._failure is not None

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
        if kind is None and self._failure is not None:
            raise self._failure

    def _watch(self) -> None:
        try:
            while not self._ended.wait(self._every_s):
                self._look()
        except Exception as exc:  # noqa: BLE001 - whoever ends the watch raises it
            self._failure = exc

    def _look(self) -> None:
        found: Mapping[str, psutil.Process] = {}
        with suppress(psutil.Error):  # Of a line that is killed just now there is none.
            found = self._processes()
        for name, process in found.items():
            with suppress(psutil.Error):
                rss, descriptors = process.memory_info().rss, process.num_fds()
                self.samples.append(Sample(time.monotonic(), name, process.pid, rss, descriptors))


class Growth(NamedTuple):
    """What one process took in the longest of its lives, once it was warm."""

    mb_per_h: float
    """Slope of its memory, MB (10⁶ bytes) an hour."""

    mb: float
    """How much that comes to over what was watched."""

    descriptors: float
    """The same of its descriptors."""


def growths(samples: Sequence[Sample]) -> dict[str, Growth]:
    """Fit a straight line to the longest life of each process, warmed up; none if that is short.

    The slope is the median of those between any two samples (Sen, 1968,
    doi:10.1080/01621459.1968.10480934): what grows again and again has it, and something taken once
    and kept, as for a larger picture, has not.
    """
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
    life = life[:: -(-len(life) // _MOST)]
    hours = (life[-1].at_s - life[0].at_s) / 3600
    mb_per_h = _slope(life, [one.rss / 1e6 for one in life])
    descriptors_per_h = _slope(life, [one.descriptors for one in life])
    return Growth(mb_per_h, mb_per_h * hours, descriptors_per_h * hours)


def _slope(life: Sequence[Sample], values: Sequence[float]) -> float:
    """Median slope between any two samples, an hour."""
    first, second = np.triu_indices(len(life), k=1)
    hours = np.array([one.at_s for one in life]) / 3600
    held = np.asarray(values, np.float64)
    return float(np.median((held[second] - held[first]) / (hours[second] - hours[first])))


def minutes(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Return the median memory of each process in every minute that it was seen in, MB."""
    found: dict[str, dict[int, list[int]]] = {}
    for one in samples:
        minute = int((one.at_s - samples[0].at_s) / 60)
        found.setdefault(one.name, {}).setdefault(minute, []).append(one.rss)
    return {
        name: [round(float(np.median(held)) / 1e6, 2) for held in by_minute.values()]
        for name, by_minute in found.items()
    }
