"""One thing that was looked at: how it is, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Status", "fail", "ok", "warn"]


class Status(StrEnum):
    """How a thing is."""

    OK = "ok"
    """As it should be."""

    WARN = "warn"
    """The line runs, and something of it is worse than it need be."""

    FAIL = "fail"
    """The line does not run, or a camera of it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """What it is, such as ``disk`` or ``camera left``."""

    status: Status

    what: str
    """What was found; credentials are not in it."""

    remedy: str = ""
    """What to do; empty if all is well."""


def ok(check: str, what: str) -> Finding:
    """Make a finding that all is well."""
    return Finding(check=check, status=Status.OK, what=what)


def warn(check: str, what: str, remedy: str) -> Finding:
    """Make a finding that something is worse than it need be."""
    return Finding(check=check, status=Status.WARN, what=what, remedy=remedy)


def fail(check: str, what: str, remedy: str) -> Finding:
    """Make a finding that something can't work."""
    return Finding(check=check, status=Status.FAIL, what=what, remedy=remedy)
