"""Figures as tables for people."""

import math
from collections.abc import Collection, Iterator, Sequence

from streamline.run.supervision.report import CameraReport, Report

__all__ = ["render", "report_table"]


def report_table(report: Report) -> str:
    """Return a row per camera, what was not as it should be and why, then the accounting."""
    rows = [_HEAD, *(_row(name, camera) for name, camera in report.cameras.items())]
    causes = [line for name, camera in report.cameras.items() for line in _causes(name, camera)]
    lines = [render(rows), "", *causes, _accounting(report)]
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


def _causes(name: str, camera: CameraReport) -> Iterator[str]:
    """Say why there were frames without a sound verdict, and how the camera was at the end."""
    if camera.state in {"down", "unusable"} or not camera.captured:
        never = "" if camera.captured else ", never delivered a frame"
        why = "" if camera.reason is None else f": {camera.reason}"
        yield f"{name}: {camera.state} at the end{never}{why}"
    if camera.unknown:
        reasons = ", ".join(f"{reason} {count}" for reason, count in camera.unknown.items())
        yield f"{name}: unknown {camera.judged['unknown']}: {reasons}"
    for where, count in camera.dropped.items():
        yield f"{name}: {count} dropped ({where})"


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
