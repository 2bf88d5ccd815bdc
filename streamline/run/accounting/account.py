"""The counters of stages: who counts what, in one place."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from streamline.clock import monotonic_ns
from streamline.ledger import Cell, Floats, Histogram, Ledger
from streamline.messages import FrameId
from streamline.metrics.catalogue import DROP_REASONS, WORK_BUCKETS
from streamline.transport.link import MOST_UNANSWERED

__all__ = ["DROPPED_IDS", "ENDED", "OPENED", "PINNED", "Drops", "StageAccount", "Timer", "seqs_of"]

DROPPED_IDS: Final = "dropped_ids"
"""Name of the tables behind `Drops`."""

ENDED: Final = "source_ended"
"""Name of the tables that say that a camera's file has been played, for as long as a line runs."""

OPENED: Final = "infer_opened"
"""Name of the tables that say that an infer stage had its device, for as long as a line runs."""

PINNED: Final = "evidence_pinned"
"""Name of the counters of frames that the alert stage asked a camera's source to keep."""

_REMEMBERED: Final = MOST_UNANSWERED + 12
"""Drops whose ids are kept: more than can be without an answer at the sender."""


class Drops:
    """Frames that a stage dropped for one reason: how many, and which they were lately.

    The id is written first, then counted: whoever finds the ledger of a dead stage knows
    exactly which frames are in the count.
    """

    def __init__(self, ledger: Ledger, *, camera: str, stage: str, reason: str) -> None:
        labels = {"camera": camera, "stage": stage, "reason": reason}
        self._count = ledger.counter("streamline_frames_dropped_total", **labels)
        self._ids = ledger.table(DROPPED_IDS, 2 * _REMEMBERED, **labels)

    def add(self, frame: FrameId) -> None:
        """Count one frame."""
        first = 2 * (int(self._count.value) % _REMEMBERED)
        self._ids[first] = float(frame.incarnation)
        self._ids[first + 1] = float(frame.seq)
        self._count.add()

    def recent(self) -> Iterator[tuple[int, int]]:
        """Yield incarnation and number of the frames dropped lately."""
        cells = np.array([self._ids[i] for i in range(len(self._ids))])
        for incarnation, seq in _counted(cells, self._count.value):
            yield int(incarnation), int(seq)


def seqs_of(ids: Floats, count: float, incarnation: int) -> set[int]:
    """Numbers of one incarnation's frames in the table of a `Drops` that has counted *count*."""
    return {int(seq) for begun, seq in _counted(ids, count) if int(begun) == incarnation}


def _counted(ids: Floats, count: float) -> Floats:
    """Rows of a `Drops` that are in its count."""
    rows = ids.reshape(-1, 2)
    if count < _REMEMBERED:
        return rows[: int(count)]
    # Once the table is full, the place of the next one may be half written.
    return np.delete(rows, int(count) % _REMEMBERED, axis=0)


class StageAccount:
    """What one stage took, handed on and dropped, by camera, and how long that took."""

    def __init__(self, ledger: Ledger, stage: str, cameras: Iterable[str]) -> None:
        names = list(cameras)
        self.stage = stage
        self.entered = _cells(ledger, "streamline_stage_entered_total", stage, names)
        self.left = _cells(ledger, "streamline_stage_left_total", stage, names)
        self.dropped = {
            (name, reason): Drops(ledger, camera=name, stage=stage, reason=reason)
            for name in names
            for reason in DROP_REASONS.get(stage, ())
        }
        self.work = ledger.histogram("streamline_stage_seconds", WORK_BUCKETS, stage=stage)
        self.queue = ledger.histogram("streamline_queue_seconds", WORK_BUCKETS, stage=stage)
        self._unclaimed = ledger.counter("streamline_queue_unclaimed_total", stage=stage)
        self.depth = ledger.gauge("streamline_queue_depth", stage=stage)

    def waited(self, queued_ns: int | None) -> None:
        """Note that a message was taken that was queued then; None: that is not known well."""
        if queued_ns is None:
            self._unclaimed.add()
        else:
            self.queue.observe(max(0, monotonic_ns() - queued_ns) / 1e9)


class Timer:
    """Observe the seconds that a ``with`` block took."""

    __slots__ = ("_histogram", "_start_ns")

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._start_ns = 0

    def __enter__(self) -> None:
        self._start_ns = monotonic_ns()

    def __exit__(self, *_: object) -> None:
        self._histogram.observe((monotonic_ns() - self._start_ns) / 1e9)


def _cells(ledger: Ledger, series: str, stage: str, cameras: list[str]) -> dict[str, Cell]:
    return {name: ledger.counter(series, camera=name, stage=stage) for name in cameras}
