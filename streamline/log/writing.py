"""From events to lines."""

import io
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from typing_extensions import override

from streamline.log.repetition import Event, Repetition
from streamline.redact import redact_url

__all__ = ["Foreign", "Lines", "Render", "Unfailing"]

Render = Callable[[Any, str, Event], str | bytes]


class Lines:
    """Structlog's last processor: one line for each event that is told.

    Parameters
    ----------
    render : callable
        Makes a line of an event.
    repetition : Repetition
        Says which events are told.
    """

    def __init__(self, render: Render, repetition: Repetition) -> None:
        self._render = render
        self._repetition = repetition

    def __call__(self, logger: object, method: str, event: Event) -> str:
        """Return the lines to write, for structlog."""
        told = self._repetition.admit(event)
        if not told:
            raise structlog.DropEvent
        return "\n".join(self._line(one, logger, method) for one in told)

    def rest(self) -> str:
        """Return the lines of what was counted and not told."""
        return "".join(f"{self._line(one)}\n" for one in self._repetition.rest())

    def _line(self, event: Event, logger: object = None, method: str = "") -> str:
        shown = {
            key: redact_url(value) if isinstance(value, str) else value
            for key, value in event.items()
        }
        # What is common to all lines where the eye begins.
        common: Event = {key: shown[key] for key in ("timestamp", "level", "event") if key in shown}
        return str(self._render(logger, method, {**common, **shown}))


class Unfailing(io.TextIOBase):
    """Where lines go: what a full disk does not take of them is forgotten, and nobody fails by it.

    Parameters
    ----------
    descriptor : int
        Of standard error.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._held = ""

    @override
    def write(self, text: str, /) -> int:
        """Hold text until it is flushed, so that a line is one write."""
        self._held += text
        return len(text)

    @override
    def flush(self) -> None:
        """Write what is held, as far as it is taken."""
        data, self._held = self._held.encode(errors="backslashreplace"), ""
        with suppress(OSError):
            while data:
                data = data[os.write(self._descriptor, data) :]


class Foreign(logging.Handler):
    """Hands what libraries log by Python's own `logging` on to this one."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(
            record.levelno, record.getMessage(), exc_info=record.exc_info, logger=record.name
        )
