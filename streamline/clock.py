"""The two clocks of a host, named by what they are for."""

import time
import zlib
from functools import cache
from pathlib import Path

__all__ = ["boot_id", "clock_id", "monotonic_ns", "wall_ns"]

monotonic_ns = time.monotonic_ns
"""CLOCK_MONOTONIC, ns: for intervals; comparable between processes of one boot of one host."""


def wall_ns() -> int:
    """Nanoseconds since the epoch: for records only, it jumps."""
    return time.time_ns()


@cache
def boot_id() -> str:
    """Name this boot of this host: monotonic times compare only where it is equal."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


@cache
def clock_id() -> int:
    """Name this host's monotonic clock in 32 bits, for messages."""
    return zlib.crc32(boot_id().encode())
