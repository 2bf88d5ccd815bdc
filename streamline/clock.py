"""The clocks of a host, named by what they are for."""

import os
import time
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

__all__ = [
    "SAME_CLOCK",
    "UNKNOWN_CLOCK",
    "Shift",
    "clock_name",
    "monotonic_ns",
    "thread_ns",
    "wall_ns",
]

monotonic_ns = time.monotonic_ns
"""CLOCK_MONOTONIC, ns: for intervals; comparable where `clock_name` is equal."""

thread_ns = time.thread_time_ns
"""Processor time of the calling thread, ns: for work without its waiting; 1 µs a look."""


def wall_ns() -> int:
    """Nanoseconds since the epoch: for records only, it jumps."""
    return time.time_ns()


@cache
def clock_name() -> str:
    """Name this process's monotonic clock: a boot of a host, and in it a time namespace.

    Containers share their host's boot; one in a time namespace of its own has a clock that is
    shifted against the others' (time_namespaces(7)).
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    try:
        namespace = os.stat("/proc/self/ns/time").st_ino  # noqa: PTH116 - of the kernel, no path
    except FileNotFoundError:
        namespace = 0  # A kernel without them.
    return f"{boot}/{namespace}"


class Shift(NamedTuple):
    """What to add to a time on another monotonic clock to have it on this one."""

    ns: int
    error_ns: int | None
    """How far off that may be, ns; None: nothing is known."""


SAME_CLOCK: Final = Shift(0, 0)
UNKNOWN_CLOCK: Final = Shift(0, None)
