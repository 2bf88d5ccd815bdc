"""Where alert events go."""

import json
import os
from pathlib import Path
from typing import Final, Protocol

import structlog

from streamline.errors import InputError

__all__ = ["JsonLines", "LogSink", "Sink"]

_LOGGED: Final = ("camera", "score", "threshold", "id", "evidence")

_log = structlog.get_logger("streamline.alert")


class Sink(Protocol):
    """Something that takes alert events, in order."""

    def deliver(self, alert_id: str, event: bytes, /) -> None:
        """Hand over one event.

        Parameters
        ----------
        alert_id : str
            Stable: a receiver may see an event twice and tells so by it and the event's type.
        event : bytes
            One JSON object in UTF-8.

        Raises
        ------
        OSError
            If it could not be handed over; the caller counts that and goes on.
        """

    def close(self) -> None:
        """Release what is held; called once."""


class JsonLines:
    """Append each event as one line to a file, each line in one write.

    Raises
    ------
    InputError
        If the file can't be opened for appending.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as exc:
            msg = f"{path}: can't be written ({exc.strerror}); give another path"
            raise InputError(msg) from exc

    def deliver(self, _alert_id: str, event: bytes, /) -> None:
        """Write the event and a line break."""
        self.write(event + b"\n")

    def write(self, lines: bytes) -> None:
        """Append whole lines."""
        view = memoryview(lines)
        while view:
            view = view[os.write(self._fd, view) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class LogSink:
    """Write each event to the line's own log, a begin as a warning."""

    def deliver(self, _alert_id: str, event: bytes, /) -> None:
        """Log what a person wants to know at once; the other sinks tell everything."""
        known = json.loads(event)
        kind = known["type"]
        fields = {key: known[key] for key in _LOGGED if known.get(key) is not None}
        log = _log.warning if kind == "begin" else _log.info
        log(f"alert {kind}s", **fields)

    def close(self) -> None:
        """Nothing is held."""
