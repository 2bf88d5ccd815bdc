"""Keep signal handlers on a stack that is there.

OpenVINO's plugin for CPUs gives the thread that loads it a stack of its own for signal handlers
(sigaltstack(2)), and unmaps it in whichever thread lets the plugin go.  In the first thread, where
Python's handlers run, the next signal then ends the process: a SIGTERM that was to drain a line.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Final

__all__ = ["own_signal_stack"]

_LIBC: Final = ctypes.CDLL(None)


class _Stack(ctypes.Structure):
    """The C library's ``stack_t``."""

    _fields_: ClassVar = [
        ("pointer", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    ]


@contextmanager
def own_signal_stack() -> Iterator[None]:
    """Give this thread the stack back that it had for its signal handlers, or none."""
    before = _Stack()
    _LIBC.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        _LIBC.sigaltstack(ctypes.byref(before), None)
