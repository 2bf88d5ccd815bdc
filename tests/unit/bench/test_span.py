"""Figures between two looks at a line, from counters and threads that are made up."""

import math
from collections.abc import Mapping

import pytest

from streamline.bench.processes import Thread
from streamline.bench.span import Snapshot, Span
from streamline.ledger import Ledger
from streamline.metrics.catalogue import LATENCY_RING


class Counters:
    """What two cameras' line counts."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        counter, gauge = self.ledger.counter, self.ledger.gauge
        self.captured = {c: counter("streamline_frames_captured_total", camera=c) for c in "ab"}
        self.judged = {
            (c, v): counter("streamline_frames_judged_total", camera=c, verdict=v)
            for c in "ab"
            for v in ("pass", "unknown")
        }
        self.dropped = {
            reason: counter(
                "streamline_frames_dropped_total", camera="a", stage=stage, reason=reason
            )
            for stage, reason in (("source", "overrun"), ("preprocess", "queue_full"))
        }
        self.rings = {c: self.ledger.ring(LATENCY_RING, 8, camera=c) for c in "ab"}
        self.decode = counter("streamline_decode_cpu_seconds_total", camera="a")
        self.scale = counter("streamline_scale_cpu_seconds_total", camera="a")
        self.work = self.ledger.histogram("streamline_stage_seconds", (0.1,), stage="infer")
        for name, thread in {"source-a": 11, "preprocess-a": 12, "infer": 21, "alert": 31}.items():
            gauge("stage_thread", stage=name).set(thread)
        gauge("capture_thread", camera="a").set(13)

    def look(self, at_s: float, used: Mapping[int, float]) -> Snapshot:
        """Every thread's seconds so far: those of the infer process are in the twenties."""
        names = {24: "ZMQbg/IO/0"}
        threads = [
            Thread(number // 10 * 10, number, names.get(number, "sl:infer"), seconds)
            for number, seconds in used.items()
        ]
        return Snapshot(
            at_s=at_s,
            samples=self.ledger.samples(),
            threads=threads,
            seconds=sum(used.values()),
        )


@pytest.fixture
def span() -> Span:
    """Two seconds: ten frames captured, eight judged, one late, one lost before they began."""
    counters = Counters()
    counters.dropped["queue_full"].add()
    counters.captured["a"].add(3)
    counters.rings["a"].push(9.0)
    counters.work.observe(5.0)
    ids = (10, 11, 12, 13, 20, 21, 22, 23, 24, 31)
    before = counters.look(100.0, dict.fromkeys(ids, 1.0))
    counters.captured["a"].add(7)
    counters.captured["b"].add(4)
    counters.dropped["overrun"].add()
    counters.judged["a", "pass"].add(5)
    counters.judged["b", "pass"].add(2)
    counters.judged["b", "unknown"].add(1)
    counters.rings["a"].push(0.2)
    counters.rings["b"].push(0.1)
    counters.decode.add(0.4)
    counters.scale.add(0.08)
    counters.work.observe(0.05)
    counters.work.observe(0.15)
    after = counters.look(102.0, {number: 1.0 + number / 100 for number in ids})
    infer = [thread for thread in after.threads if thread.pid == 20]
    return Span(before, after, infer=infer)


def test_frames_are_counted_between_the_looks(span: Span) -> None:
    assert (span.captured, span.overrun, span.judged, span.unknown) == (10, 1, 8, 1)
    assert span.fps == pytest.approx(4.0)


def test_what_was_lost_before_counts_too(span: Span) -> None:
    assert span.dropped == {"source:overrun": 1, "preprocess:queue_full": 1}


def test_latencies_are_those_of_all_cameras_since_the_first_look(span: Span) -> None:
    assert sorted(span.latencies()) == [0.1, 0.2]


def test_the_graph_is_what_nobody_else_does_in_its_process(span: Span) -> None:
    cpu = span.cpu()
    # 20 is the main thread, 21 the stage's own, 24 the link's: 22 and 23 are left.
    assert cpu.graph == pytest.approx(1e3 * (0.22 + 0.23) / 8)
    assert cpu.decode == pytest.approx(1e3 * 0.4 / 8)
    assert cpu.scale == pytest.approx(1e3 * 0.08 / 8)
    whole = sum((10, 11, 12, 13, 20, 21, 22, 23, 24, 31)) / 100
    assert cpu.total == pytest.approx(1e3 * whole / 8)
    assert cpu.other == pytest.approx(cpu.total - cpu.decode - cpu.graph)


def test_stages_have_their_own_threads_and_infer_the_graphs(span: Span) -> None:
    seconds = {name: stage.cpu_ms * 8 / 1e3 for name, stage in span.stages().items()}
    assert seconds == pytest.approx(
        {"source": 0.24, "preprocess": 0.12, "infer": 0.21 + 0.22 + 0.23, "alert": 0.31}
    )


def test_work_is_the_mean_since_the_first_look_and_unknown_where_there_was_none(
    span: Span,
) -> None:
    stages = span.stages()
    assert stages["infer"].work_ms == pytest.approx(100.0)
    assert math.isnan(stages["alert"].wait_ms)
