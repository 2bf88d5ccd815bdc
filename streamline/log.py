"""One way of logging for every process of a line: one event a line, on standard error.

Plain functions, because every process of a line loads them: the usual library for it takes longer
to import than all of ours, and memory in each.
"""

import json
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from streamline.clock import wall_ns

__all__ = ["error", "exception", "info", "warning"]


def info(event: str, /, **facts: object) -> None:
    """Tell what is good to know."""
    _tell("info", event, facts)


def warning(event: str, /, **facts: object) -> None:
    """Tell what somebody should look at."""
    _tell("warning", event, facts)


def error(event: str, /, **facts: object) -> None:
    """Tell what has gone wrong."""
    _tell("error", event, facts)


def exception(event: str, /, **facts: object) -> None:
    """Tell what has gone wrong where nobody expected it, with the exception being handled."""
    _tell("error", event, {**facts, "exception": traceback.format_exc().rstrip()})


def _tell(level: str, event: str, facts: Mapping[str, object]) -> None:
    """Write a line: readable to a terminal, as JSON elsewhere; never to standard output."""
    moment = datetime.fromtimestamp(wall_ns() / 1e9, UTC).isoformat(timespec="microseconds")
    # What is common to all lines comes where the eye begins.
    entry = {"timestamp": moment.replace("+00:00", "Z"), "level": level, "event": event, **facts}
    line = _readable(entry) if sys.stderr.isatty() else json.dumps(entry, default=repr)
    # A line whose log nobody reads any more goes on with its work.
    with suppress(OSError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def _readable(entry: Mapping[str, object]) -> str:
    facts = dict(entry)
    head = f"{facts.pop('timestamp')} [{facts.pop('level'):<7}] {facts.pop('event'):<32}"
    trace = facts.pop("exception", None)
    told = " ".join((head, *(f"{name}={value}" for name, value in facts.items()))).rstrip()
    return told if trace is None else f"{told}\n{trace}"
