"""The dashboard of one camera, which is chosen at its top."""

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel, VariableRefresh

from tools.dashboards.panels import (
    SOURCE,
    STATES,
    curves,
    density,
    figure,
    new_dashboard,
    query,
    states,
    with_rows,
)
from tools.dashboards.queries import WINDOW, camera_states, latencies

__all__ = ["camera"]

_CAMERA: Final = 'instance="$instance",camera="$camera"'


def camera() -> Dashboard:
    """Build it."""
    chosen = (
        dashboard.QueryVariable("camera")
        .label("Camera")
        .datasource(SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .query('label_values(streamline_frames_captured_total{instance="$instance"}, camera)')
    )
    board = new_dashboard("Camera", "One camera: what it gives, sees, and is judged.")
    board = board.with_variable(chosen)
    rows = {"Now": _now, "Frames": _frames, "Scores": _scores, "Scene": _scene}
    return with_rows(board, rows)


def _now() -> Iterator[Builder[Panel]]:
    yield figure(
        "Latest frame",
        f"time() - streamline_last_frame_timestamp_seconds{{{_CAMERA}}}",
        unit="s",
        bad_from=5,
    )
    yield figure(
        "Latest verdict",
        f"time() - streamline_last_verdict_timestamp_seconds{{{_CAMERA}}}",
        unit="s",
        bad_from=5,
    )
    yield figure("Captured a second", f"camera:streamline_frames_captured:rate1m{{{_CAMERA}}}")
    yield figure("Judged a second", f"camera:streamline_frames_judged:rate1m{{{_CAMERA}}}")
    yield figure(
        "Fail", f"camera:streamline_frames_fail:ratio_rate5m{{{_CAMERA}}}", unit="percentunit"
    )
    yield figure("Reconnects", f"streamline_camera_reconnects_total{{{_CAMERA}}}")


def _frames() -> Iterator[Builder[Panel]]:
    verdicts = f"sum by (verdict) (rate(streamline_frames_judged_total{{{_CAMERA}}}[{WINDOW}]))"
    yield curves(
        "Verdicts", "A second.", [query(verdicts, "{{verdict}}")], unit="cps", stacked=True
    )
    yield states("State", "", query(camera_states(_CAMERA), "{{camera}}"), STATES)
    drops = f"sum by (stage, reason) (rate(streamline_frames_dropped_total{{{_CAMERA}}}[{WINDOW}]))"
    yield curves(
        "Drops by reason",
        "A second.",
        [query(drops, "{{stage}}: {{reason}}")],
        unit="cps",
        stacked=True,
    )
    yield curves(
        "Processor time on a frame",
        "Of its own processes: decoding, scaling and looking at the scene.",
        [query(_a_frame(what), what) for what in ("decode", "scale", "scene")],
        unit="s",
    )
    buckets = f"sum by (le) (increase(streamline_latency_seconds_bucket{{{_CAMERA}}}[{WINDOW}]))"
    yield density("Capture to verdict", "", buckets, unit="s")
    yield curves(
        "Quantiles against the deadline",
        "Over five minutes.",
        [query(expression, name) for name, expression in latencies(_CAMERA).items()],
        unit="s",
    )


def _a_frame(what: str) -> str:
    spent = f"rate(streamline_{what}_cpu_seconds_total{{{_CAMERA}}}[{WINDOW}])"
    return f"{spent} / rate(streamline_frames_captured_total{{{_CAMERA}}}[{WINDOW}])"


def _scores() -> Iterator[Builder[Panel]]:
    buckets = f"sum by (le) (rate(streamline_anomaly_score_bucket{{{_CAMERA}}}[5m]))"
    yield curves(
        "Score against the threshold",
        "Quantiles over five minutes, as multiples of the threshold: above 1 fails.",
        [query(f"histogram_quantile({q}, {buckets})", f"p{100 * q:g}") for q in (0.5, 0.95, 0.99)],
        unit="short",
        limit=1,
    )
    density_of = f"sum by (le) (increase(streamline_anomaly_score_bucket{{{_CAMERA}}}[{WINDOW}]))"
    yield density("Scores", "Multiples of the threshold.", density_of, unit="short")
    yield curves(
        "Alerts",
        "That began, in five minutes, and whether one is on.",
        [
            query(f"increase(streamline_alerts_total{{{_CAMERA}}}[5m])", "began"),
            query(f"streamline_alert_active{{{_CAMERA}}}", "on"),
        ],
        unit="short",
    )
    yield curves(
        "Evidence",
        "Frames stored in five minutes, by what they show.",
        [query(f"increase(streamline_evidence_stored_total{{{_CAMERA}}}[5m])", "{{kind}}")],
        unit="short",
    )


def _scene() -> Iterator[Builder[Panel]]:
    yield states(
        "What is wrong with what it sees",
        "",
        query(f"streamline_scene_state{{{_CAMERA}}}", "{{check}}"),
        {0: ("as learnt", "green"), 1: ("wrong", "red")},
    )
    yield curves(
        "Against the reference",
        "Figures of the scene over those of its reference; moved: share of the picture's side.",
        [query(f"streamline_scene_ratio{{{_CAMERA}}}", "{{check}}")],
        unit="short",
    )
