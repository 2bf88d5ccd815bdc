"""One way of logging for every process of a line: one event a line, on standard error."""

import atexit
import logging
import sys
from typing import TextIO, cast

import structlog

from streamline.log.journal import journal_prefix, to_journal
from streamline.log.repetition import Repetition
from streamline.log.writing import Foreign, Lines, Render, Unfailing

__all__ = ["configure_logging", "flush_logging"]


def configure_logging(*, verbose: bool = False) -> None:
    """Log readably to a terminal, as JSON elsewhere; never to standard output.

    To the journal each line goes with its level in front (sd-daemon(3)). What is told again and
    again is limited and counted, and no line holds credentials. Libraries that log by Python's own
    `logging`, and Python's warnings, come the same way.
    """
    lines = Lines(_render(), Repetition())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            lines,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if verbose else logging.INFO
        ),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _stream())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[Foreign()], level=logging.WARNING)
    logging.captureWarnings(capture=True)
    atexit.register(flush_logging)


def flush_logging() -> None:
    """Tell what was counted and not told yet; for a process that ends without Python's own end."""
    for processor in structlog.get_config()["processors"]:
        if isinstance(processor, Lines) and (rest := processor.rest()):
            stream = _stream()
            stream.write(rest)
            stream.flush()


def _stream() -> Unfailing:
    return Unfailing(sys.stderr.fileno())


def _render() -> Render:
    if sys.stderr.isatty():
        return structlog.dev.ConsoleRenderer(pad_event_to=32)
    as_json = structlog.processors.JSONRenderer()
    if not to_journal(sys.stderr.fileno()):
        return as_json
    return lambda logger, method, event: (
        journal_prefix(str(event.get("level"))) + str(as_json(logger, method, event))
    )
