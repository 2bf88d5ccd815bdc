"""A started worker as the supervisor holds it: a process, or a thread of its own."""

import errno
import os
import signal
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from threading import Thread
from typing import Protocol

from streamline.config import Pipeline
from streamline.errors import StreamlineError
from streamline.run.failures import leave_failure
from streamline.run.placement import WorkerPlan
from streamline.run.runtime import Runtime
from streamline.run.supervision.forkserver import context, sheltered
from streamline.run.worker import Worker, work

__all__ = ["Handle", "start"]


def start(worker: WorkerPlan, pipeline: Pipeline, runtime: Runtime) -> "Handle":
    """Start a worker: in this process if it is the whole line, else in one of its own.

    Raises
    ------
    OSError
        If this host has too little of something for now.
    """
    runtime.failure(worker.name).unlink(missing_ok=True)
    kind = _InThread if worker.is_whole_line else _InProcess
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
        self._process: ForkServerProcess = context().Process(
            target=work, args=(worker, pipeline, runtime.folder), name=worker.name, daemon=True
        )
        try:
            with sheltered(runtime.folder.parent):
                self._process.start()
        except (EOFError, ConnectionError) as exc:
            # On a host that has too little to fork with; the next is forked from another.
            why = "what workers are forked from has died"
            raise OSError(errno.EAGAIN, why) from exc
        try:
            # Its id alone could be another process's by the time it is used.
            self._descriptor = _descriptor_of(self._process.pid)
        except OSError:
            self._process.kill()  # Nobody would have it any more.
            self._process.join()
            raise

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
            leave_failure(exc, self._runtime.failure(self._name))
        except BaseException:
            self._failed = True
            raise

    def exit_status(self) -> int | None:
        """None while it runs."""
        return None if self._thread.is_alive() else int(self._failed)

    def kill(self) -> None:
        """Wait a little more: a thread can't be ended from outside."""
        self._thread.join(1.0)
