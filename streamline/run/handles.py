"""A started worker as the supervisor holds it: a process, or a thread of its own."""

import json
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Thread
from typing import Final, Protocol

from streamline.config import Pipeline
from streamline.errors import InputError, StreamlineError
from streamline.run.nursery import nursery
from streamline.run.placement import WorkerPlan
from streamline.run.runtime import Runtime
from streamline.run.worker import Worker, work

__all__ = ["Handle", "start"]

_SAFE_PATH: Final = "PYTHONSAFEPATH"
_ARENAS: Final = "MALLOC_ARENA_MAX"

_ENVIRONMENT: Final = {_SAFE_PATH: "1", _ARENAS: "2"}
"""Of the workers.  The C library gives every thread that comes and goes with a decoder or a device
an arena of its own, and what has once been used in each stays: 10 to 25 MiB a process."""


def start(worker: WorkerPlan, pipeline: Pipeline, runtime: Runtime) -> "Handle":
    """Start a worker: in this process if it is the whole line, else in one of its own."""
    runtime.failure(worker.name).unlink(missing_ok=True)
    kind = _InThread if len(worker.stages) == 4 else _InProcess
    return kind(worker, pipeline, runtime)


class Handle(Protocol):
    """A started worker."""

    @property
    def pid(self) -> int | None:
        """Its process; None if it is no process of its own, and can't be ended or restarted."""

    def exit_status(self) -> int | None:
        """None while it runs; 0 if it ended well; negative for a signal."""

    def kill(self) -> None:
        """End it at once, also if it seems to have ended."""


class _InProcess:
    """A worker in a process of its own, forked from one that has the libraries loaded."""

    def __init__(self, worker: WorkerPlan, pipeline: Pipeline, runtime: Runtime) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["streamline.run.preload"])
        self._process: ForkServerProcess = context.Process(
            target=work, args=(worker, pipeline, runtime.folder), name=worker.name, daemon=True
        )
        with _sheltered(runtime.folder.parent):
            self._process.start()
        # Its id alone could be another process's by the time it is used.
        self._descriptor = _descriptor_of(self._process.pid)

    @property
    def pid(self) -> int | None:
        """Its process."""
        return self._process.pid

    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._process.exitcode

    def kill(self) -> None:
        """SIGKILL."""
        if self._descriptor is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
            os.close(self._descriptor)
            self._descriptor = None
        self._process.join(1.0)


def _descriptor_of(pid: int | None) -> int | None:
    try:
        return None if pid is None else os.pidfd_open(pid)
    except ProcessLookupError:
        return None


@contextmanager
def _sheltered(base: Path) -> Iterator[None]:
    """Start a process that neither signals nor the present folder can lead astray.

    The process that workers are forked from inherits what is set here.  Signals for the whole
    group, from a terminal or a service manager, stay blocked in it: only the supervisor acts on
    them.  It imports nothing from the present folder, where anything may be called like one of
    our libraries.  Its socket lies in a folder of ours in *base*.  And it
    does not run the program's main script once more: a worker needs
    nothing of it, and the command line that it loads costs time and memory.
    """
    main = sys.modules["__main__"]
    path = main.__dict__.pop("__file__", None)
    temporary, tempfile.tempdir = tempfile.tempdir, str(nursery(base))
    # Started by itself first: when it starts, it unblocks the very signals that are blocked here.
    resource_tracker.ensure_running()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
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


class _InThread:
    """A worker in a thread of the supervisor: the whole line in one process."""

    pid = None

    def __init__(self, worker: WorkerPlan, pipeline: Pipeline, runtime: Runtime) -> None:
        self._name = worker.name
        self._runtime = runtime
        self._failed = False
        # Made here, so that bad input is raised to the caller.
        self._worker = Worker(worker, pipeline, runtime)
        self._thread = Thread(target=self._run, name=worker.name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._worker.run()
        except StreamlineError as exc:
            self._failed = True
            report = {"input": isinstance(exc, InputError), "message": str(exc)}
            self._runtime.failure(self._name).write_text(json.dumps(report))
        except BaseException:
            self._failed = True
            raise

    def exit_status(self) -> int | None:
        """None while it runs."""
        return None if self._thread.is_alive() else int(self._failed)

    def kill(self) -> None:
        """Wait a little more: a thread can't be ended from outside."""
        self._thread.join(1.0)
