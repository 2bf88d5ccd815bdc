"""What a line did between two looks at its counters and threads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamline.bench.processes import Thread
from streamline.ledger import Floats, Sample
from streamline.metrics.catalogue import LATENCY_RING, STAGES

__all__ = ["Cpu", "Snapshot", "Span", "StageCost"]

_LINKS = "ZMQbg"
"""What ZeroMQ calls the threads that move its messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """Processor time a frame, all cores together, ms."""

    decode: float
    """Reading and decoding, measured around the decoder in its own thread."""

    graph: float
    """Of the threads that the inference library keeps: networks and heads."""

    other: float
    """All the rest of the line: scaling, links, bookkeeping, supervision."""

    scale: float
    """The part of `other` that is scaling to the model's input."""

    @property
    def total(self) -> float:
        """All of it."""
        return self.decode + self.graph + self.other


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """One stage: work and waiting apart, ms."""

    cpu_ms: float
    """Processor time of its own threads, a frame."""

    work_ms: float
    """From taking a message to handing it on, in the mean; in infer a message is a batch."""

    wait_ms: float
    """Before that, from being sent by the stage before to being taken, in the mean."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """A line as it stands at one moment."""

    at_s: float
    """On the monotonic clock."""

    samples: Sequence[Sample]
    """All that is counted."""

    threads: Sequence[Thread]
    seconds: float
    """Processor time of all its processes."""

    def total(self, series: str, **labels: str) -> float:
        """Sum of a counter over the series whose labels are these, among others."""
        return sum(float(s.values[0]) for s in self.of(series, labels))

    def mean(self, series: str, before: "Snapshot", **labels: str) -> float:
        """Mean of what a histogram has observed since another look; NaN if that is nothing."""
        now = sum((s.values for s in self.of(series, labels)), np.zeros(1))
        then = sum((s.values for s in before.of(series, labels)), np.zeros(1))
        grown = now - then
        count = float(grown[:-1].sum())
        return float(grown[-1]) / count if count else float("nan")

    def thread_ids(self, gauge: str, **labels: str) -> set[int]:
        """Return the threads that a gauge names."""
        return {int(s.values[0]) for s in self.of(gauge, labels)}

    def latencies(self, before: "Snapshot") -> Floats:
        """Latencies since another look, s; of a camera with very many, the latest."""
        known = {s.labels["camera"]: len(s.values) for s in before.of(LATENCY_RING, {})}
        rings = {s.labels["camera"]: s.values for s in self.of(LATENCY_RING, {})}
        new = [values[known.get(camera, 0) :] for camera, values in rings.items()]
        return np.concatenate(new) if new else np.zeros(0)

    def of(self, series: str, labels: Mapping[str, str]) -> Iterable[Sample]:
        """Yield the series whose labels are these, among others."""
        wanted = labels.items()
        return (s for s in self.samples if s.name == series and wanted <= s.labels.items())


class Span:
    """What happened between two snapshots of a line.

    Parameters
    ----------
    infer : sequence of Thread
        All threads, at the end, of the process in which the models run.
    """

    def __init__(self, before: Snapshot, after: Snapshot, *, infer: Sequence[Thread]) -> None:
        self._before, self._after = before, after
        self._infer = infer
        self.seconds = after.at_s - before.at_s
        self.judged = self._grown("streamline_frames_judged_total")
        self.unknown = self._grown("streamline_frames_judged_total", verdict="unknown")
        self.overrun = self._grown("streamline_frames_dropped_total", reason="overrun")
        self.captured = self._grown("streamline_frames_captured_total") - self.overrun
        """When they were due."""

    @property
    def fps(self) -> float:
        """Verdicts a second."""
        return self.judged / self.seconds

    @property
    def dropped(self) -> dict[str, int]:
        """Frames lost since the line began to run, by ``stage:reason``."""
        lost: dict[str, int] = {}
        for sample in self._after.samples:
            if sample.name == "streamline_frames_dropped_total" and sample.values[0]:
                key = f"{sample.labels['stage']}:{sample.labels['reason']}"
                lost[key] = lost.get(key, 0) + int(sample.values[0])
        return lost

    def latencies(self) -> Floats:
        """Capture to verdict of all cameras' frames, s."""
        return self._after.latencies(self._before)

    def cpu(self) -> Cpu:
        """Where the processor time went."""
        whole = self._after.seconds - self._before.seconds
        decode = self._seconds("streamline_decode_cpu_seconds_total")
        graph = self._used(self._graph_threads())
        return Cpu(
            decode=self._a_frame(decode),
            graph=self._a_frame(graph),
            other=self._a_frame(whole - decode - graph),
            scale=self._a_frame(self._seconds("streamline_scale_cpu_seconds_total")),
        )

    def stages(self) -> dict[str, StageCost]:
        """Return what each stage cost; the graphs are infer's."""
        return {stage: self._stage(stage) for stage in STAGES}

    def _stage(self, stage: str) -> StageCost:
        ids = self._stage_threads(stage)
        before, after = self._before, self._after
        return StageCost(
            cpu_ms=self._a_frame(self._used(ids)),
            work_ms=1e3 * after.mean("streamline_stage_seconds", before, stage=stage),
            wait_ms=1e3 * after.mean("streamline_queue_seconds", before, stage=stage),
        )

    def _stage_threads(self, stage: str) -> set[int]:
        """Return the threads that do a stage's work: those of its instances are ``stage-…``."""
        names = {s.labels["stage"] for s in self._after.samples if s.name == "stage_thread"}
        ids: set[int] = set()
        for name in names:
            if name == stage or name.startswith(f"{stage}-"):
                ids |= self._after.thread_ids("stage_thread", stage=name)
        if stage == "source":
            ids |= self._after.thread_ids("capture_thread")
        if stage == "infer":
            ids |= self._graph_threads()
        return ids

    def _graph_threads(self) -> set[int]:
        """Return the inference library's threads: what in its process is nobody else's.

        A thread of ours that waits for a batch is among them, at some µs a batch.
        """
        known = self._after.thread_ids("stage_thread") | self._after.thread_ids("capture_thread")
        return {
            thread.id
            for thread in self._infer
            if thread.id not in known | {thread.pid} and not thread.name.startswith(_LINKS)
        }

    def _used(self, ids: set[int]) -> float:
        now = sum(thread.seconds for thread in self._after.threads if thread.id in ids)
        return now - sum(thread.seconds for thread in self._before.threads if thread.id in ids)

    def _a_frame(self, seconds: float) -> float:
        """Milliseconds a frame; NaN if there was none."""
        return 1e3 * seconds / self.judged if self.judged else float("nan")

    def _seconds(self, series: str) -> float:
        return self._after.total(series) - self._before.total(series)

    def _grown(self, series: str, **labels: str) -> int:
        return int(self._after.total(series, **labels) - self._before.total(series, **labels))
