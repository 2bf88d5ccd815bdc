"""A line in processes of its own, as a user starts it, and its counters as they write them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

import streamline
from streamline.bench.loads import Pace, write_load
from streamline.bench.processes import Thread, family, pss_of, seconds_of, threads_of
from streamline.bench.span import Snapshot, Span
from streamline.config import Pipeline, load
from streamline.errors import InputError, LineError
from streamline.run.runtime import Runtime
from streamline.run.views import Views

__all__ = ["RunningLine", "under_load"]

_START_S: Final = 120.0
"""How long a line may take until every camera has a verdict."""

_END_S: Final = 30.0
_POLL_S: Final = 0.02


class RunningLine:
    """``streamline run`` while the context is open; no process of it is left afterwards.

    Parameters
    ----------
    path : Path
        The pipeline file, in a folder of its own.
    seconds : float
        How long it will be needed once it runs.  Should this process be killed, the line ends
        by itself soon after that time.
    """

    def __init__(self, path: Path, *, seconds: float) -> None:
        self._path = path
        self._pipeline: Pipeline = load(path)
        self._log = path.with_suffix(".log")
        self._command = [
            *(sys.executable, "-P", "-m", "streamline", "run", str(path)),
            *("--duration", str(seconds + _START_S + _END_S)),
        ]
        self._views = Views(Runtime.of(self._pipeline))
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        # The very code that runs here, whatever else is installed or lies in the present folder.
        package = str(Path(streamline.__file__).parents[1])
        paths = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH", ""))))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this program itself
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": paths},
                start_new_session=True,
            )
        try:
            self._await_verdicts()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        if kind is None and self._process.returncode:
            raise self._failure()

    def measure(self, seconds: float, *, latencies: bool) -> Span:
        """Watch the line for so long.

        Parameters
        ----------
        latencies : bool
            Whether every latency is wanted; they take time to read.

        Raises
        ------
        LineError
            If it ends meanwhile.
        """
        before = self._snapshot(rings=latencies)
        end_s = time.monotonic() + seconds
        while (rest_s := end_s - time.monotonic()) > 0:
            time.sleep(min(rest_s, 0.5))
            self._require_running()
        after = self._snapshot(rings=latencies)
        return Span(before, after, infer=self._threads_of_infer(after))

    def pss(self) -> int:
        """Memory of all its processes together, B: what they share is counted once."""
        return pss_of(family(self._process.pid))

    def _snapshot(self, *, rings: bool) -> Snapshot:
        at_s = time.monotonic()
        samples = [s for view in self._views.all() for s in view.samples(rings=rings)]
        pids = family(self._process.pid)
        return Snapshot(
            at_s=at_s,
            samples=samples,
            threads=threads_of(pids),
            seconds=sum(map(seconds_of, pids)),
        )

    @staticmethod
    def _threads_of_infer(snapshot: Snapshot) -> list[Thread]:
        """Return the threads of the process in which the models run."""
        stage = snapshot.thread_ids("stage_thread", stage="infer")
        pids = {thread.pid for thread in snapshot.threads if thread.id in stage}
        return [thread for thread in snapshot.threads if thread.pid in pids]

    def _await_verdicts(self) -> None:
        end_s = time.monotonic() + _START_S
        while not self._all_judged():
            self._require_running()
            if time.monotonic() > end_s:
                msg = f"the line gave no verdict on some camera within {_START_S:g} s of its start"
                raise LineError(msg)
            time.sleep(_POLL_S)

    def _all_judged(self) -> bool:
        judged = dict.fromkeys(self._pipeline.cameras, 0.0)
        for view in self._views.all():
            for labels, count in view.values("streamline_frames_judged_total").items():
                judged[dict(labels)["camera"]] += count
        return all(judged.values())

    def _require_running(self) -> None:
        if self._process.poll() is not None:
            raise self._failure()

    def _failure(self) -> InputError | LineError:
        """Say what the line said last."""
        lines = self._log.read_text(errors="replace").splitlines()
        words = [line for line in lines if line.startswith("streamline: ")] or lines[-1:]
        what = words[-1].removeprefix("streamline: ") if words else "no word why"
        status = self._process.returncode
        return InputError(what) if status == 2 else LineError(f"the line has failed: {what}")

    def _end(self) -> None:
        """Let it drain, and see that nothing of it is left."""
        self._views.close()
        try:
            self._process.terminate()
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if self._process.poll() is None:
                # Its workers see that their supervisor is gone, but stuck ones would not.
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


@contextmanager
def under_load(
    like: Pipeline, folder: Path, *, cameras: int, pace: Pace, seconds: float
) -> Iterator[RunningLine]:
    """Run so many cameras of a line at one pace; parameters as for `write_load`, `RunningLine`."""
    with TemporaryDirectory(dir=folder) as own:
        path = write_load(like, Path(own), cameras=cameras, pace=pace)
        with RunningLine(path, seconds=seconds) as line:
            yield line
