"""Levels as systemd's journal reads them: ``<3>`` in front of a line (sd-daemon(3))."""

import os
from typing import Final

__all__ = ["journal_prefix", "to_journal"]

_PRIORITIES: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}


def journal_prefix(level: str) -> str:
    """Return what stands in front of a line of a level, by structlog's name of it."""
    return f"<{_PRIORITIES.get(level, 6)}>"


def to_journal(descriptor: int) -> bool:
    """Whether a descriptor leads to the journal.

    Its variable is handed on to every process below a service, whose output may go elsewhere; so
    it names the journal's end by device and inode (systemd.exec(5)).
    """
    there = os.fstat(descriptor)
    return os.environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"
