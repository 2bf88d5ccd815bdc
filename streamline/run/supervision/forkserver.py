"""The process that workers are forked from: started early, and sheltered from what is around it.

It takes as long to import what workers need as the supervisor does to read the pipeline file, so
a command that will need it starts it first of all.  That is why this module imports little.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Final

from streamline.run.supervision.nursery import nursery

__all__ = ["context", "dismiss", "sheltered", "start_early"]

_SAFE_PATH: Final = "PYTHONSAFEPATH"
_ARENAS: Final = "MALLOC_ARENA_MAX"

_FOR_ALL: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What a terminal or a service manager sends to a whole group of processes."""

_ENVIRONMENT: Final = {_SAFE_PATH: "1", _ARENAS: "2"}
"""Of the workers.  The C library gives every thread that comes and goes with a decoder or a device
an arena of its own, and what has once been used in each stays: 10 to 25 MiB a process."""


def context() -> ForkServerContext:
    """Return what makes processes that have the libraries loaded."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["streamline.run.supervision.preload"])
    return made


def start_early(base: Path) -> None:
    """Let the process begin to load the libraries; nobody waits for it here.

    Parameters
    ----------
    base : Path
        Folder that is private to this user, for its socket.
    """
    context()
    with sheltered(base):
        forkserver.ensure_running()


def dismiss() -> None:
    """End the process, if it was started: no worker is to be forked from it."""
    # Its only public end is that of this process, which it would idle beside until then.
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # noqa: SLF001


@contextmanager
def sheltered(base: Path) -> Iterator[None]:
    """Start a process that neither signals nor the present folder can lead astray.

    The process that workers are forked from inherits what is set here.  Signals for the whole
    group, from a terminal or a service manager, stay blocked in it: only the supervisor acts on
    them.  It imports nothing from the present folder, where anything may be called like one of
    our libraries.  Its socket lies in a folder of ours in *base*.  And it does not run the
    program's main script once more: a worker needs nothing of it, and the command line that it
    loads costs time and memory.
    """
    main = sys.modules["__main__"]
    path = main.__dict__.pop("__file__", None)
    temporary, tempfile.tempdir = tempfile.tempdir, str(nursery(base))
    # Started by itself first: when it starts, it unblocks the very signals that are blocked here.
    resource_tracker.ensure_running()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_ALL)
    try:
        with _environment():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        tempfile.tempdir = temporary
        if path is not None:
            main.__file__ = path


@contextmanager
def _environment() -> Iterator[None]:
    """Set the workers' environment while their process is started, and ours back again."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    if (wanted := before[_ARENAS]) is not None:
        os.environ[_ARENAS] = wanted
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
