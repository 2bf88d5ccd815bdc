"""Alerts in the line's own log."""

import json
from typing import Final

import structlog

from streamline.alert.events import EventType

__all__ = ["LogSink"]

_WORDS: Final = {
    EventType.NEW: "alert begins",
    EventType.UPDATE: "alert goes on",
    EventType.END: "alert ends",
}
_LOGGED: Final = ("camera", "score", "threshold", "id", "evidence")

_log = structlog.get_logger("streamline.alert")


class LogSink:
    """Write each event to the line's own log, a begin as a warning."""

    def deliver(self, _alert_id: str, event: bytes, /) -> None:
        """Log what a person wants to know at once; the other sinks tell everything."""
        known = json.loads(event)
        kind = EventType(known["type"])
        fields = {key: known[key] for key in _LOGGED if known.get(key) is not None}
        log = _log.warning if kind is EventType.NEW else _log.info
        log(_WORDS[kind], **fields)

    def close(self) -> None:
        """Nothing is held."""
