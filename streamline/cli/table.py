"""Figures as tables for people."""

import math
from collections.abc import Collection, Sequence

from streamline.run.supervision.report import CameraReport, Report

__all__ = ["render", "report_table"]


def report_table(report: Report) -> str:
    """Return a row per camera, then the accounting."""
    rows = [_HEAD, *(_row(name, camera) for name, camera in report.cameras.items())]
    lines = [render(rows), "", *_dropped(report), _accounting(report)]
    return "\n".join(lines)


_HEAD = (
    "camera", "captured", "judged", "dropped", "pass", "fail", "unknown", "fps",
    "p50 ms", "p95 ms", "p99 ms",
)  # fmt: skip


def _row(name: str, camera: CameraReport) -> tuple[str, ...]:
    judged, latency = camera.judged, camera.latency_ms
    return (
        name,
        str(camera.captured),
        str(sum(judged.values())),
        str(sum(camera.dropped.values())),
        *(str(judged[verdict]) for verdict in ("pass", "fail", "unknown")),
        f"{camera.fps:.1f}",
        *(_milliseconds(latency[q]) for q in ("p50", "p95", "p99")),
    )


def _dropped(report: Report) -> list[str]:
    return [
        f"{name}: {count} dropped ({where})"
        for name, camera in report.cameras.items()
        for where, count in camera.dropped.items()
    ]


def _accounting(report: Report) -> str:
    cameras = report.cameras.values()
    captured = sum(camera.captured for camera in cameras)
    judged = sum(sum(camera.judged.values()) for camera in cameras)
    dropped = sum(sum(camera.dropped.values()) for camera in cameras)
    in_flight = sum(camera.in_flight for camera in cameras)
    sign = "=" if report.closes else "≠"
    return (
        f"accounting: {captured} captured {sign} {judged} judged + {dropped} dropped "
        f"+ {in_flight} in flight; {report.alerts} alerts; {report.duration_s:.1f} s"
    )


def render(rows: Sequence[Sequence[str]], *, words: Collection[int] = (0,)) -> str:
    """Align columns: words, by their index, to the left, figures to the right; rule the head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i in words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _milliseconds(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "-"
