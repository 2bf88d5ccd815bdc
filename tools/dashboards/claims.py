"""The dashboard of what is claimed: how fast the line is, beside what FRE's paper printed."""

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders import text
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel
from grafana_foundation_sdk.models.text import TextMode

from streamline.bench import published_speeds
from tools.dashboards.panels import bars, curves, figure, new_dashboard, query, with_rows
from tools.dashboards.queries import WINDOW, latencies

__all__ = ["claims"]

_LINE: Final = 'instance="$instance"'


def claims() -> Dashboard:
    """Build it."""
    board = new_dashboard(
        "Claims", "What the line does now, what the last benchmark came to, what the paper printed."
    )
    return with_rows(board, {"The line now": _now, "The paper's table 9": _bench})


def _now() -> Iterator[Builder[Panel]]:
    judged = f"sum(rate(streamline_frames_judged_total{{{_LINE}}}[{WINDOW}]))"
    yield curves(
        "Throughput", "Verdicts a second, all cameras.", [query(judged, "verdicts")], unit="cps"
    )
    yield curves(
        "Latency",
        "From capture to verdict, of the slowest camera over five minutes.",
        [query(expression, name) for name, expression in latencies(_LINE).items()],
        unit="s",
    )


def _bench() -> Iterator[Builder[Panel]]:
    yield bars(
        "Judging, frames a second",
        "Here: streamline bench paper --json FILE, whose FILE metrics.bench names.",
        f"sort_desc(streamline_bench_fps{{{_LINE}}})",
        unit="cps",
    )
    yield bars(
        "Learning a product",
        "From the first decoded frame to the calibrated model; FRE by principal directions.",
        f"sort(streamline_bench_fit_seconds{{{_LINE}}})",
        unit="s",
    )
    yield figure(
        "Age of the benchmark",
        f"time() - streamline_bench_timestamp_seconds{{{_LINE}}}",
        unit="s",
    )
    yield (
        text.Panel()
        .title("As printed")
        .mode(TextMode.MARKDOWN)
        .content(_printed())
        .height(8)
        .span(20)
    )


def _printed() -> str:
    """Return the paper's table as shipped."""
    speeds = published_speeds()
    methods = list(dict.fromkeys(m for one in speeds.systems for m in (*one.fps, *one.training_s)))
    lines = [
        "| | " + " | ".join(methods) + " |",
        "|---|" + "---:|" * len(methods),
    ]
    for system in speeds.systems:
        for what, figures in (("frames a second", system.fps), ("learning, s", system.training_s)):
            cells = (f"{figures[method]:g}" if method in figures else "" for method in methods)
            lines.append(f"| {system.name}: {what} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", f"{speeds.source}. {speeds.setting}."])
