"""Whether a line is alive and ready: from the age of what it judged, not from an open port."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from streamline.ledger import Sample

__all__ = ["Health", "cameras_down", "health_of"]

_STALE_S: Final = 5.0
"""A line whose latest verdict is older is not ready."""

_STUCK_S: Final = 10.0
"""A camera that delivers and has had no verdict for this long shows that the line is stuck."""


class Health(NamedTuple):
    """What ``/healthz`` and ``/readyz`` answer."""

    healthy: bool
    """Every worker lives, and every camera that delivers is judged."""

    ready: bool
    """Some camera was judged within the last 5 s."""

    judged: bool
    """Some camera has been judged."""

    stuck: tuple[str, ...]
    """Cameras whose frames wait for their verdicts in vain."""

    body: dict[str, Any]


def health_of(
    samples: Iterable[Sample],
    workers: Mapping[str, bool],
    *,
    running_s: float | None,
    now_s: float,
) -> Health:
    """Judge a line by its figures.

    Parameters
    ----------
    samples : iterable of Sample
        The ledgers as they stand.
    workers : mapping of worker name to whether it lives
    running_s : float or None
        How long the line has been running, s; None if it is not ready yet, or drains.
    now_s : float
        Seconds since the epoch, as the time stamps among the samples.
    """
    cameras: dict[str, dict[str, Any]] = {}
    given_up: list[str] = []
    for sample in samples:
        name = sample.labels.get("camera")
        if sample.name == "streamline_worker_given_up" and sample.values[0]:
            given_up.append(sample.labels["worker"])
        if name is not None:
            _note(cameras.setdefault(name, {"state": None}), sample, now_s)
    ages = [c["last_verdict_age_s"] for c in cameras.values() if "last_verdict_age_s" in c]
    stuck = tuple(name for name, camera in cameras.items() if _is_stuck(camera, running_s))
    healthy = all(workers.values()) and not stuck
    ready = running_s is not None and any(age <= _STALE_S for age in ages)
    body = {
        "healthy": healthy,
        "ready": ready,
        "stuck": list(stuck),
        "workers": dict(workers),
        "given_up": given_up,
        "cameras": cameras,
    }
    return Health(healthy, ready, bool(ages), stuck, body)


def cameras_down(samples: Iterable[Sample]) -> dict[str, str]:
    """Return the reason of each camera that is down, by the ledgers as they stand."""
    cameras: dict[str, dict[str, Any]] = {}
    for sample in samples:
        if name := sample.labels.get("camera"):
            _note(cameras.setdefault(name, {"state": None}), sample, 0.0)
    down = {name: camera for name, camera in cameras.items() if camera["state"] == "down"}
    return {name: camera.get("reason", "error") for name, camera in down.items()}


def _note(camera: dict[str, Any], sample: Sample, now_s: float) -> None:
    value = float(sample.values[0])
    if sample.name == "streamline_camera_state" and value:
        camera["state"] = sample.labels["state"]
    elif sample.name == "streamline_camera_down_reason" and value:
        camera["reason"] = sample.labels["reason"]
    elif sample.name == "streamline_camera_state_since_timestamp_seconds" and value:
        camera["since_age_s"] = round(now_s - value, 3)
    elif sample.name == "streamline_frames_in_flight":
        camera["in_flight"] = round(value)
    elif sample.name == "streamline_last_frame_timestamp_seconds" and value:
        camera["last_frame_age_s"] = round(now_s - value, 3)
    elif sample.name == "streamline_last_verdict_timestamp_seconds" and value:
        camera["last_verdict_age_s"] = round(now_s - value, 3)


def _is_stuck(camera: Mapping[str, Any], running_s: float | None) -> bool:
    """Whether frames come and verdicts don't, or none comes since those before are not judged."""
    if running_s is None or camera["state"] not in {"ok", "unusable"}:
        return False
    waiting = camera.get("in_flight", 0) > 0
    delivering = waiting or camera.get("last_frame_age_s", _STUCK_S) < _STALE_S
    # Nothing was judged while the camera was away, or before the line was ready.
    since_s = camera.get("since_age_s", 0.0)
    unjudged_s = min(camera.get("last_verdict_age_s", since_s), since_s, running_s)
    return bool(delivering and unjudged_s > _STUCK_S)
