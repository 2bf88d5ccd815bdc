"""The clock that records and alerts are stamped with."""

import ctypes
import time
from typing import Final

from streamline.clock import monotonic_ns, wall_ns
from streamline.doctor.finding import Finding, ok, warn

__all__ = ["ClockWatch", "clock"]

_UNSYNCHRONISED: Final = 0x40
"""STA_UNSYNC of <sys/timex.h>."""

_JUMP_S: Final = 0.1

_LOOKS: Final = 3
"""At both clocks; the quickest counts."""

_RELEASED_NS: Final = 1_735_689_600_000_000_000
"""The beginning of 2025, before which there was no such program."""


class _Timex(ctypes.Structure):
    """``struct timex`` of <sys/timex.h>, as far as it is read; the rest is room for the kernel."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("maximum_error_us", ctypes.c_long),
        ("estimated_error_us", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    ]


class ClockWatch:
    """Notices whether the wall clock is set while something else is looked at."""

    def __init__(self) -> None:
        self._begun_ns = _ahead_ns()

    def jump_s(self) -> float:
        """Return by how much it was set since this was made, s."""
        return (_ahead_ns() - self._begun_ns) / 1e9


def clock(watch: ClockWatch) -> Finding:
    """Look whether the wall clock is right, as far as the kernel knows."""
    now_ns, jump_s = wall_ns(), watch.jump_s()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_ns / 1e9))
    remedy = "set up an NTP client: timedatectl set-ntp true, or chrony"
    if now_ns < _RELEASED_NS:
        return warn("clock", f"it says {shown}, which can't be", remedy)
    if abs(jump_s) > _JUMP_S:
        what = f"it was set by {jump_s:+.1f} s while this was looked at"
        return warn("clock", what, "let it be kept by one NTP client, which does not step it")
    error_us = _error_us()
    if error_us is None:
        return ok("clock", f"{shown}; who keeps it is not told here, as in many containers")
    if error_us < 0:
        what = f"{shown}; the kernel does not know it to be kept by NTP"
        return warn("clock", what, remedy)
    return ok("clock", f"{shown}, kept by NTP within {error_us / 1e3:.0f} ms")


def _ahead_ns() -> int:
    """By how much the wall clock is ahead of the monotonic one, ns."""
    looks = []
    for _ in range(_LOOKS):
        before_ns, now_ns, after_ns = monotonic_ns(), wall_ns(), monotonic_ns()
        looks.append((after_ns - before_ns, now_ns - after_ns))
    # Whoever is held up between the clocks sees them apart.
    return min(looks)[1]


def _error_us() -> int | None:
    """Ask the kernel how far off its clock may be, µs; -1: nobody keeps it; None: may not ask."""
    timex = _Timex()  # modes 0: nothing is set
    if ctypes.CDLL(None).adjtimex(ctypes.byref(timex)) < 0:
        return None
    return -1 if timex.status & _UNSYNCHRONISED else int(timex.maximum_error_us)
