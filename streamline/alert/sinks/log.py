"""Alerts in the line's own log."""

import json
from typing import Final

import structlog

__all__ = ["LogSink"]

_LOGGED: Final = ("camera", "score", "threshold", "id", "evidence")

_log = structlog.get_logger("streamline.alert")


class LogSink:
    """Write each event to the line's own log, a begin as a warning."""

    def deliver(self, _alert_id: str, event: bytes, /) -> None:
        """Log what a person wants to know at once; the other sinks tell everything."""
        known = json.loads(event)
        kind = known["type"]
        fields = {key: known[key] for key in _LOGGED if known.get(key) is not None}
        log = _log.warning if kind == "begin" else _log.info
        log("alert goes on" if kind == "update" else f"alert {kind}s", **fields)

    def close(self) -> None:
        """Nothing is held."""
