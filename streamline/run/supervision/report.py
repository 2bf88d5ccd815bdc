"""What a run came to: the figures behind its table and its JSON file."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from streamline.errors import LineError, StreamlineError
from streamline.ledger import Sample, quantiles
from streamline.metrics.catalogue import LATENCY_RING

__all__ = ["CameraReport", "Report", "joined", "report_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraReport:
    """One camera's share."""

    captured: int
    judged: Mapping[str, int]
    """By verdict: pass, fail, unknown."""

    unknown: Mapping[str, int]
    """Verdicts that are unknown by their reason; what did not happen is left out."""

    dropped: Mapping[str, int]
    """By ``stage:reason``; what did not happen is left out."""

    in_flight: int
    fps: float
    """Verdicts per second between the first and the last one; 0 for fewer than two.  This and what
    follows to `reason`: since the configuration was last read."""

    latency_ms: Mapping[str, float]
    """Exact quantiles p50, p95, p99 of capture to verdict over the latest 65,536 frames; NaN
    without frames."""

    state: str
    """The camera's state at the end, one of `catalogue.CAMERA_STATES`."""

    reason: str | None
    """Why it was down or unusable at the end, or its file could not be read to its end."""

    state_s: Mapping[str, float]
    """Seconds spent ok, unusable and down since the line was ready."""

    evidence: int
    """Frames stored."""

    evidence_skipped: int
    """Frames that should have been stored and were not."""

    def after(self, earlier: "CameraReport") -> "CameraReport":
        """Return this with what was counted under an earlier configuration."""
        return replace(
            self,
            captured=self.captured + earlier.captured,
            judged=_sum(self.judged, earlier.judged),
            unknown=_sum(self.unknown, earlier.unknown),
            dropped=_sum(self.dropped, earlier.dropped),
            in_flight=self.in_flight + earlier.in_flight,
            state_s=_sum(self.state_s, earlier.state_s),
            evidence=self.evidence + earlier.evidence,
            evidence_skipped=self.evidence_skipped + earlier.evidence_skipped,
        )

    @property
    def closes(self) -> bool:
        """Whether every captured frame is accounted for."""
        known = sum(self.judged.values()) + sum(self.dropped.values()) + self.in_flight
        return self.captured == known


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole run."""

    cameras: Mapping[str, CameraReport]
    alerts: int
    duration_s: float
    """From readiness to the end of draining, s."""

    faults: Sequence[StreamlineError] = ()
    """What did not go well: workers that were given up or ended badly, and files that could not be
    read to their end."""

    @property
    def closes(self) -> bool:
        """Whether every captured frame of every camera is accounted for."""
        return all(camera.closes for camera in self.cameras.values())

    def as_dict(self) -> dict[str, Any]:
        """Return what ``--json`` writes; NaN becomes null."""
        cameras = {
            name: {
                "captured": camera.captured,
                "judged": dict(camera.judged),
                "unknown": dict(camera.unknown),
                "dropped": dict(camera.dropped),
                "in_flight": camera.in_flight,
                "fps": round(camera.fps, 3),
                "latency_ms": {q: _number(x) for q, x in camera.latency_ms.items()},
                "state": camera.state,
                "reason": camera.reason,
                "state_s": {state: round(x, 3) for state, x in camera.state_s.items()},
                "evidence": camera.evidence,
                "evidence_skipped": camera.evidence_skipped,
            }
            for name, camera in self.cameras.items()
        }
        return {
            "cameras": cameras,
            "alerts": self.alerts,
            "duration_s": round(self.duration_s, 3),
            "faults": [str(fault) for fault in self.faults],
        }

    def to_json(self) -> str:
        """Return the run as JSON text."""
        return json.dumps(self.as_dict(), indent=2) + "\n"


def joined(reports: Sequence[Report]) -> Report:
    """Return one report of a run under several configurations, one after another."""
    cameras: dict[str, CameraReport] = {}
    for report in reports:
        for name, camera in report.cameras.items():
            cameras[name] = camera.after(cameras[name]) if name in cameras else camera
    return Report(
        cameras=cameras,
        alerts=sum(report.alerts for report in reports),
        duration_s=sum(report.duration_s for report in reports),
        faults=tuple(fault for report in reports for fault in report.faults),
    )


_Number = TypeVar("_Number", int, float)


def _sum(one: Mapping[str, _Number], other: Mapping[str, _Number]) -> dict[str, _Number]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in {**other, **one}}


def report_of(
    samples: Iterable[Sample],
    cameras: Iterable[str],
    duration_s: float,
    *,
    faults: Sequence[StreamlineError] = (),
) -> Report:
    """Read a run's figures off its ledgers, rings included."""
    held = list(samples)
    figures = {
        name: _camera([s for s in held if s.labels.get("camera") == name]) for name in cameras
    }
    alerts = sum(float(s.values[0]) for s in held if s.name == "streamline_alerts_total")
    return Report(
        cameras=figures,
        alerts=round(alerts),
        duration_s=duration_s,
        faults=(*faults, *_broken_off(figures)),
    )


def _broken_off(cameras: Mapping[str, CameraReport]) -> Iterator[StreamlineError]:
    for name, camera in cameras.items():
        if camera.state == "ended" and camera.reason is not None:
            what = f"camera {name}: its source could not be read to its end ({camera.reason})"
            yield LineError(f"{what}; the log says why")


def _camera(samples: list[Sample]) -> CameraReport:
    dropped: dict[str, int] = {}
    for sample in samples:
        count = int(sample.values[0]) if sample.kind == "counter" else 0
        if sample.name == "streamline_frames_dropped_total" and count:
            key = f"{sample.labels['stage']}:{sample.labels['reason']}"
            dropped[key] = dropped.get(key, 0) + count
    judged = _by(samples, "streamline_frames_judged_total", "verdict")
    unknown = _by(samples, "streamline_frames_unknown_total", "reason")
    spent = _by(samples, "streamline_camera_state_seconds_total", "state")
    rings = [s.values for s in samples if s.name == LATENCY_RING]
    p50, p95, p99 = (1e3 * q for q in quantiles(rings[0], (0.5, 0.95, 0.99))) if rings else _NONE
    return CameraReport(
        captured=int(_total(samples, "streamline_frames_captured_total")),
        judged={verdict: int(judged.get(verdict, 0)) for verdict in ("pass", "fail", "unknown")},
        unknown={reason: int(count) for reason, count in unknown.items() if count},
        dropped=dropped,
        in_flight=int(_total(samples, "streamline_frames_in_flight")),
        fps=_rate(samples, sum(judged.values())),
        latency_ms={"p50": p50, "p95": p95, "p99": p99},
        state=_current(samples, "streamline_camera_state", "state") or "starting",
        reason=_current(samples, "streamline_camera_down_reason", "reason"),
        state_s={state: spent.get(state, 0.0) for state in ("ok", "unusable", "down")},
        evidence=int(_total(samples, "streamline_evidence_stored_total")),
        evidence_skipped=int(_total(samples, "streamline_evidence_skipped_total")),
    )


_NONE = (math.nan, math.nan, math.nan)


def _rate(samples: list[Sample], judged: float) -> float:
    first = _total(samples, "first_verdict_monotonic_seconds")
    elapsed_s = _total(samples, "last_verdict_monotonic_seconds") - first
    return (judged - 1) / elapsed_s if elapsed_s > 0 else 0.0


def _total(samples: list[Sample], name: str) -> float:
    return float(sum(s.values[0] for s in samples if s.name == name))


def _by(samples: list[Sample], name: str, label: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for sample in samples:
        if sample.name == name:
            value = sample.labels[label]
            found[value] = found.get(value, 0.0) + float(sample.values[0])
    return found


def _current(samples: list[Sample], name: str, label: str) -> str | None:
    """Return the label whose gauge is 1."""
    return next((value for value, held in _by(samples, name, label).items() if held), None)


def _number(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None
