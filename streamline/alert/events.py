"""What a line says of its verdicts and alerts, as JSON."""

from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from streamline.messages import FrameId, Verdict

__all__ = ["AlertEvent", "EventType", "VerdictRecord", "alert_id", "to_json", "utc"]


def utc(wall_ns: int) -> str:
    """ISO 8601 with microseconds.

    Examples
    --------
    >>> utc(1_700_000_000_123_456_789)
    '2023-11-14T22:13:20.123456Z'
    """
    seconds, nanoseconds = divmod(wall_ns, 1_000_000_000)
    whole = datetime.fromtimestamp(seconds, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{nanoseconds // 1000:06d}Z"


def alert_id(frame: FrameId) -> str:
    """Name an alert after the frame that began it: equal again if it is raised again.

    Examples
    --------
    >>> alert_id(FrameId("left", 255, 7))
    'left-ff-7'
    """
    return f"{frame.camera}-{frame.incarnation:x}-{frame.seq}"


class VerdictRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the verdict log."""

    camera: str
    incarnation: int
    seq: int
    captured: str
    pts_s: float | None
    """The frame's time in its stream by the camera's own clock, s; null if it is not known."""

    verdict: Verdict
    reason: str | None
    """Why the verdict is unknown, else null."""

    score: float | None
    """Null if there is none."""

    p_value: float | None
    """How probable it is at most that a normal frame scores as high; null without a score."""

    threshold: float
    latency_ms: float | None
    """Capture to verdict; null where the source's clock is not this host's."""

    alert: str | None
    """The alert that is on after this verdict."""


class EventType(StrEnum):
    """What an event tells of its alert, in the words that receivers of MQTT events know."""

    NEW = "new"
    """It begins."""

    UPDATE = "update"
    """It goes on."""

    END = "end"


class AlertEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of an alert's life, as sinks get it."""

    type: EventType

    id: str
    """Of the alert, equal in all of its events, stable for de-duplication."""

    line: str
    camera: str
    incarnation: int
    seq: int
    """The frame whose verdict began or ended the alert, or that came when an update was due."""

    captured: str
    score: float
    p_value: float | None
    """How probable it is at most that a normal frame scores as high; null where the frame has no
    score."""

    threshold: float
    worst_score: float
    """Largest score of the alert so far."""

    since: str
    """When the frame was captured that began the alert."""

    model: str
    """First 12 digits of the model's SHA-256."""

    evidence: str | None
    """Folder of the stored frame, on the source's host; null if evidence is off."""

    @property
    def kind(self) -> str:
        """Names the event among those of its alert: of updates there may be many."""
        if self.type is not EventType.UPDATE:
            return self.type.value
        return f"update-{self.incarnation:x}-{self.seq}"


def to_json(record: VerdictRecord | AlertEvent) -> bytes:
    """One JSON object without line breaks; a score that is no number becomes null."""
    return msgspec.json.encode(record)
