"""The figures of a run, from ledgers made by hand."""

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest

from streamline.ledger import Ledger, Sample
from streamline.metrics.catalogue import LATENCY_RING
from streamline.run.supervision.report import CameraReport, Report, joined, report_of


def line(
    camera: str = "left", *, in_flight: int = 1, latencies_s: Sequence[float] = ()
) -> list[Sample]:
    """Two workers' ledgers: 20 frames captured, 14 judged, 5 dropped."""
    source, alert = Ledger(), Ledger()
    source.counter("streamline_frames_captured_total", camera=camera).add(20)
    source.gauge("streamline_frames_in_flight", camera=camera).set(in_flight)
    source.counter("streamline_evidence_stored_total", camera=camera, kind="begin").add(2)
    source.counter("streamline_evidence_skipped_total", camera=camera, reason="disk").add(1)
    alert.counter("streamline_evidence_skipped_total", camera=camera, reason="rate").add(4)
    for stage, reason, n in (
        ("source", "overrun", 3),
        ("source", "queue_full", 0),
        ("preprocess", "queue_full", 2),
    ):
        source.counter(
            "streamline_frames_dropped_total", camera=camera, stage=stage, reason=reason
        ).add(n)
    spent = {"starting": 1, "ok": 7.25, "unusable": 0.25, "down": 0.5, "ended": 2}
    for state, seconds in spent.items():
        now = source.gauge("streamline_camera_state", camera=camera, state=state)
        now.set(float(state == "down"))
        source.counter("streamline_camera_state_seconds_total", camera=camera, state=state).add(
            seconds
        )
    for reason in ("dns", "auth"):
        why = source.gauge("streamline_camera_down_reason", camera=camera, reason=reason)
        why.set(float(reason == "auth"))
    for verdict, n in (("pass", 10), ("fail", 3), ("unknown", 1)):
        alert.counter("streamline_frames_judged_total", camera=camera, verdict=verdict).add(n)
    for reason, n in (("late", 1), ("overload", 0)):
        alert.counter("streamline_frames_unknown_total", camera=camera, reason=reason).add(n)
    alert.gauge("first_verdict_monotonic_seconds", camera=camera).set(100.0)
    alert.gauge("last_verdict_monotonic_seconds", camera=camera).set(102.6)
    alert.counter("streamline_alerts_total", camera=camera).add(2)
    ring = alert.ring(LATENCY_RING, 64, camera=camera)
    for latency_s in latencies_s:
        ring.push(latency_s)
    return source.samples() + alert.samples()


def test_a_cameras_figures_are_read_off_the_ledgers() -> None:
    report = report_of(line(latencies_s=[0.01]), ["left"], 12.5)
    assert report.cameras["left"] == CameraReport(
        captured=20,
        judged={"pass": 10, "fail": 3, "unknown": 1},
        unknown={"late": 1},
        dropped={"source:overrun": 3, "preprocess:queue_full": 2},
        in_flight=1,
        fps=13 / (102.6 - 100.0),
        latency_ms={"p50": 10.0, "p95": 10.0, "p99": 10.0},
        state="down",
        reason="auth",
        state_s={"ok": 7.25, "unusable": 0.25, "down": 0.5},
        evidence=2,
        evidence_skipped=5,
    )
    assert (report.alerts, report.duration_s) == (2, 12.5)


def test_latencies_are_exact_quantiles_in_milliseconds() -> None:
    latencies_s = np.random.default_rng(3).random(60)
    figures = report_of(line(latencies_s=list(latencies_s)), ["left"], 1.0).cameras["left"]
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        truth = np.quantile(latencies_s, share, method="inverted_cdf")
        assert figures.latency_ms[name] == pytest.approx(1e3 * truth)


def test_cameras_do_not_mix_and_alerts_add_up() -> None:
    samples = line("left") + line("right", in_flight=0)
    report = report_of(samples, ["left", "right"], 1.0)
    assert [c.in_flight for c in report.cameras.values()] == [1, 0]
    assert [c.captured for c in report.cameras.values()] == [20, 20]
    assert report.alerts == 4


def test_what_two_parts_have_counted_of_one_camera_adds_up() -> None:
    """A part under another release begins to count anew, and what the first one counted stays."""
    camera = report_of(line() + line(), ["left"], 1.0).cameras["left"]
    assert camera.closes
    assert camera.judged == {"pass": 20, "fail": 6, "unknown": 2}
    assert camera.state_s == {"ok": 14.5, "unusable": 0.5, "down": 1.0}


@pytest.mark.parametrize(("in_flight", "closes"), [(1, True), (0, False), (2, False)])
def test_books_close_exactly_if_every_frame_is_accounted_for(in_flight: int, closes: bool) -> None:  # noqa: FBT001 - a table
    report = report_of(line(in_flight=in_flight), ["left"], 1.0)
    assert report.cameras["left"].closes is closes
    assert report.closes is closes


def test_one_camera_that_does_not_close_is_enough() -> None:
    samples = line("left") + line("right", in_flight=0)
    assert not report_of(samples, ["left", "right"], 1.0).closes


def test_a_camera_that_never_delivered_has_zeros_and_no_latency() -> None:
    figures = report_of([], ["left"], 1.0).cameras["left"]
    assert (figures.captured, figures.in_flight, figures.fps, figures.evidence) == (0, 0, 0.0, 0)
    assert figures.judged == {"pass": 0, "fail": 0, "unknown": 0}
    assert figures.dropped == {}
    assert all(math.isnan(q) for q in figures.latency_ms.values())
    assert figures.closes


def one_verdict() -> list[Sample]:
    """Ledgers of a camera with a single frame."""
    ledger = Ledger()
    ledger.counter("streamline_frames_captured_total", camera="left").add(1)
    ledger.counter("streamline_frames_judged_total", camera="left", verdict="pass").add(1)
    for name in ("first", "last"):
        ledger.gauge(f"{name}_verdict_monotonic_seconds", camera="left").set(100.0)
    return ledger.samples()


def test_one_verdict_is_no_rate() -> None:
    assert report_of(one_verdict(), ["left"], 1.0).cameras["left"].fps == 0.0


@pytest.mark.parametrize("reason", [None, "format"])
def test_a_file_that_ended_before_its_end_is_a_fault(reason: str | None) -> None:
    ledger = Ledger()
    ledger.gauge("streamline_camera_state", camera="left", state="ended").set(1.0)
    why = ledger.gauge("streamline_camera_down_reason", camera="left", reason="format")
    why.set(float(reason == "format"))
    report = report_of(ledger.samples(), ["left"], 1.0)
    told = "camera left: its source could not be read to its end (format); the log says why"
    assert [str(fault) for fault in report.faults] == ([] if reason is None else [told])


def refuse(constant: str) -> float:
    """Fail on what JSON does not have."""
    raise AssertionError(constant)


def test_the_json_is_strict_and_has_null_where_there_is_no_number() -> None:
    report = report_of(line("left", latencies_s=[0.25]), ["left", "right"], 12.3456)
    read = json.loads(report.to_json(), parse_constant=refuse)
    assert read == report.as_dict()
    assert read["duration_s"] == 12.346
    assert read["cameras"]["right"]["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    assert read["cameras"]["left"]["latency_ms"] == {"p50": 250.0, "p95": 250.0, "p99": 250.0}


def test_the_json_has_every_figure_of_a_camera() -> None:
    report: Report = report_of(line(), ["left"], 1.0)
    assert set(report.as_dict()["cameras"]["left"]) == set(CameraReport.__slots__)


def test_what_came_before_a_reload_is_added_and_who_left_stays() -> None:
    early = report_of(line("left", in_flight=0) + line("gone", in_flight=0), ["left", "gone"], 10.0)
    late = report_of(line("left") + line("new"), ["left", "new"], 5.0)
    both = joined([early, late])
    assert both.cameras.keys() == {"left", "gone", "new"}
    left, one = both.cameras["left"], late.cameras["left"]
    assert (left.captured, left.in_flight) == (40, 1)
    assert left.judged == {verdict: 2 * n for verdict, n in one.judged.items()}
    assert left.dropped == {what: 2 * n for what, n in one.dropped.items()}
    assert left.unknown == {"late": 2}
    assert left.state_s["ok"] == 14.5
    assert left.fps == one.fps
    assert both.cameras["gone"] == early.cameras["gone"]
    assert both.duration_s == 15.0
    assert both.alerts == early.alerts + late.alerts
    assert joined([late]) == late
