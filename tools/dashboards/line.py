"""The dashboard of a whole line."""

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from tools.dashboards.panels import (
    STATES,
    curves,
    density,
    figure,
    listing,
    new_dashboard,
    query,
    states,
    with_rows,
)
from tools.dashboards.queries import WINDOW, camera_states, latencies, mean_seconds

__all__ = ["line"]

_LINE: Final = 'instance="$instance"'
_UNACCOUNTED: Final = "camera:streamline_frames_unaccounted:count"


def line() -> Dashboard:
    """Build it."""
    board = new_dashboard("Line", "What a line judges, how soon, and whether it is well.")
    rows = {
        "Now": _now,
        "Verdicts": _verdicts,
        "Latency": _latency,
        "Cameras": _cameras,
        "Alerts and what is kept": _alerts,
    }
    return with_rows(board, rows)


def _now() -> Iterator[Builder[Panel]]:
    yield figure(
        "Cameras that deliver",
        f'sum(streamline_camera_state{{{_LINE},state="ok"}}) / count(streamline_camera_state'
        f'{{{_LINE},state="ok"}})',
        unit="percentunit",
        good_from=1,
    )
    yield figure("Verdicts a second", f"sum(camera:streamline_frames_judged:rate1m{{{_LINE}}})")
    yield figure("p99 to the verdict", latencies(_LINE)["p99"], unit="s")
    yield figure(
        "Dropped",
        f"max(camera:streamline_frames_dropped:ratio_rate5m{{{_LINE}}})",
        unit="percentunit",
        bad_from=0.01,
    )
    yield figure("Alerts that are on", f"sum(streamline_alert_active{{{_LINE}}})", bad_from=1)
    yield figure(
        "Frames not accounted for",
        f"max(quantile_over_time(0.25, {_UNACCOUNTED}{{{_LINE}}}[10m]))",
        bad_from=1,
    )


def _verdicts() -> Iterator[Builder[Panel]]:
    verdicts = f"sum by (verdict) (rate(streamline_frames_judged_total{{{_LINE}}}[{WINDOW}]))"
    yield curves(
        "Verdicts",
        "A second, by what they are; unknown is never pass.",
        [query(verdicts, "{{verdict}}")],
        unit="cps",
        stacked=True,
    )
    yield curves(
        "Frame rate against the cameras'",
        "What is judged must be as much as what the camera gives.",
        [
            query(f"camera:streamline_frames_judged:rate1m{{{_LINE}}}", "{{camera}} judged"),
            query(f"camera:streamline_frames_captured:rate1m{{{_LINE}}}", "{{camera}} captured"),
        ],
        unit="cps",
    )
    drops = f"sum by (stage, reason) (rate(streamline_frames_dropped_total{{{_LINE}}}[{WINDOW}]))"
    yield curves(
        "Drops by reason",
        "A second; every one is counted where it happens.",
        [query(drops, "{{stage}}: {{reason}}")],
        unit="cps",
        stacked=True,
    )
    scores = f"sum by (le) (increase(streamline_anomaly_score_bucket{{{_LINE}}}[{WINDOW}]))"
    yield density(
        "Score against the threshold",
        "Anomaly score as a multiple of its camera's threshold: above 1 fails.",
        scores,
        unit="short",
    )
    unknown = f"sum by (reason) (rate(streamline_frames_unknown_total{{{_LINE}}}[{WINDOW}]))"
    yield curves(
        "Unknown by reason",
        "Why frames could not be judged, a second.",
        [query(unknown, "{{reason}}")],
        unit="cps",
        stacked=True,
    )
    yield curves(
        "Frames in a batch",
        "Mean of an inference request.",
        [query(_mean_batch(), "frames")],
        unit="short",
    )


def _mean_batch() -> str:
    chosen = f"{{{_LINE}}}[{WINDOW}]"
    return f"rate(streamline_batch_size_sum{chosen}) / rate(streamline_batch_size_count{chosen})"


def _latency() -> Iterator[Builder[Panel]]:
    buckets = f"sum by (le) (increase(streamline_latency_seconds_bucket{{{_LINE}}}[{WINDOW}]))"
    yield density("Capture to verdict", "All cameras.", buckets, unit="s")
    yield curves(
        "Quantiles against the deadline",
        "Of the slowest camera over five minutes; the shortest deadline that is set.",
        [query(expression, name) for name, expression in latencies(_LINE).items()],
        unit="s",
    )
    yield curves(
        "Work on a message",
        "Mean by stage.",
        [query(mean_seconds("streamline_stage_seconds", "stage"), "{{stage}}")],
        unit="s",
    )
    yield curves(
        "Waiting before a stage",
        "Mean by stage.",
        [query(mean_seconds("streamline_queue_seconds", "stage"), "{{stage}}")],
        unit="s",
    )


def _cameras() -> Iterator[Builder[Panel]]:
    yield states(
        "Camera states",
        "Down: gives no frames and is tried again; unusable: gives what can't be judged.",
        query(camera_states(_LINE), "{{camera}}"),
        STATES,
    )
    yield states(
        "Scene",
        "Whether something is wrong with what a camera sees.",
        query(f"max by (camera) (streamline_scene_state{{{_LINE}}})", "{{camera}}"),
        {0: ("as learnt", "green"), 1: ("wrong", "red")},
    )
    yield curves(
        "Restarts of workers",
        "In five minutes.",
        [query(f"increase(streamline_worker_restarts_total{{{_LINE}}}[5m])", "{{worker}}")],
        unit="short",
    )
    queues = f"sum by (stage) (streamline_queue_depth{{{_LINE}}})"
    yield curves(
        "Messages that wait",
        "In front of the stage after this one.",
        [query(queues, "{{stage}}")],
        unit="short",
    )


def _alerts() -> Iterator[Builder[Panel]]:
    yield curves(
        "Alerts",
        "That began, in five minutes.",
        [query(f"increase(streamline_alerts_total{{{_LINE}}}[5m])", "{{camera}}")],
        unit="short",
    )
    yield curves(
        "Outbox",
        "Alert events that wait for a sink.",
        [query(f"streamline_outbox_pending{{{_LINE}}}", "{{sink}}")],
        unit="short",
    )
    told = f"sum by (sink, outcome) (increase(streamline_alerts_delivered_total{{{_LINE}}}[5m]))"
    yield curves(
        "Delivered",
        "Alert events handed to a sink, in five minutes.",
        [query(told, "{{sink}}: {{outcome}}")],
        unit="short",
    )
    yield listing(
        "The line's own alerts",
        "What Prometheus' rules complain of: docker/README.md says what to do.",
        f'ALERTS{{{_LINE},alertstate="firing"}}',
    )
    yield curves(
        "Evidence on disk",
        "By camera.",
        [query(f"streamline_evidence_bytes{{{_LINE}}}", "{{camera}}")],
        unit="bytes",
    )
    skipped = f"sum by (reason) (increase(streamline_evidence_skipped_total{{{_LINE}}}[5m]))"
    yield curves(
        "Evidence that was skipped",
        "In five minutes; rate: more of it than is kept a minute.",
        [query(skipped, "{{reason}}")],
        unit="short",
    )
