"""The counters of stages: who counts what, in one place."""

from collections.abc import Iterable

from streamline.clock import monotonic_ns
from streamline.ledger import Cell, Histogram, Ledger
from streamline.metrics.catalogue import DROP_REASONS, WORK_BUCKETS

__all__ = ["StageAccount", "Timer"]


class StageAccount:
    """What one stage took, handed on and dropped, by camera, and how long that took."""

    def __init__(self, ledger: Ledger, stage: str, cameras: Iterable[str]) -> None:
        names = list(cameras)
        self.stage = stage
        self.entered = _cells(ledger, "streamline_stage_entered_total", stage, names)
        self.left = _cells(ledger, "streamline_stage_left_total", stage, names)
        self.dropped = {
            (name, reason): ledger.counter(
                "streamline_frames_dropped_total", camera=name, stage=stage, reason=reason
            )
            for name in names
            for reason in DROP_REASONS.get(stage, ())
        }
        self.work = ledger.histogram("streamline_stage_seconds", WORK_BUCKETS, stage=stage)
        self.queue = ledger.histogram("streamline_queue_seconds", WORK_BUCKETS, stage=stage)
        self.depth = ledger.gauge("streamline_queue_depth", stage=stage)

    def waited(self, queued_ns: int | None) -> None:
        """Note that a message was taken that was queued then; None: on another host's clock."""
        if queued_ns is not None:
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
