"""Ties a worker's life to that of its supervisor: Linux ends it then, whatever it is doing."""

import fcntl
import multiprocessing
import os
import signal
from typing import Final

__all__ = ["end_with_supervisor"]

_SET_SIGNAL: Final = 10
"""F_SETSIG of fcntl(2), which the standard library does not name."""


def end_with_supervisor() -> None:
    """Let this process be killed as soon as the one that started it is gone.

    That one alone holds the other end of a pipe.  The kernel signals when it closes, to a process
    that hangs or is stopped too, which one that looks by itself now and then would not see.
    """
    supervisor = multiprocessing.parent_process()
    if supervisor is None:
        return  # It is the supervisor.
    pipe = supervisor.sentinel
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, _SET_SIGNAL, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    if not supervisor.is_alive():  # Nobody signals what is over already.
        os.kill(os.getpid(), signal.SIGKILL)
