"""Keep a line's workers alive: see who is dead or stuck, account for it, start it again."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Final

import structlog

from streamline.clock import monotonic_ns
from streamline.config import Pipeline
from streamline.errors import InputError, LineError, StreamlineError
from streamline.ledger import Ledger
from streamline.run.control import Control, Phase
from streamline.run.crashes import Crashes
from streamline.run.fences import SUPERVISOR
from streamline.run.handles import Handle, start
from streamline.run.placement import WorkerPlan
from streamline.run.runtime import Runtime
from streamline.run.views import Views

__all__ = ["Keeper"]

_log = structlog.get_logger("streamline.run")

_SECOND_NS: Final = 1_000_000_000

_EXIT_S: Final = 5.0
"""How long a worker may take to exit once nothing is left to do."""

_SILENT_NS: Final = 1_500_000_000
"""A stage that sleeps or is stopped and has not gone round for this long is stuck."""

_BUSY_NS: Final = 10_000_000_000
"""The same for one that is running: it may only be short of processor time."""

_FIRST_DELAY_NS: Final = _SECOND_NS // 10
_LONGEST_DELAY_NS: Final = 10 * _SECOND_NS

_WELL_NS: Final = 60 * _SECOND_NS
"""A worker that ran for this long starts over with the shortest delay."""

_LIMIT: Final = 10
"""Deaths of one worker within `_PERIOD_NS` that end the line: something else must be mended."""

_PERIOD_NS: Final = 600 * _SECOND_NS


Starter = Callable[[WorkerPlan, Pipeline, Runtime], Handle]


class _Kept:
    """One worker through all its lives."""

    def __init__(self, plan: WorkerPlan, ledger: Ledger) -> None:
        self.plan = plan
        self.up = ledger.gauge("streamline_worker_up", worker=plan.name)
        self.restarts = ledger.counter("streamline_worker_restarts_total", worker=plan.name)
        self.handle: Handle | None = None
        self.deaths: list[int] = []
        self.done = False
        """Died when there was nothing left to do for it: is not started again."""

        self.due_ns = 0
        self.started_ns = 0
        self.delay_ns = _FIRST_DELAY_NS


class Keeper:
    """Starts, watches and restarts the workers of this host.

    Parameters
    ----------
    pipeline : Pipeline
    plans : sequence of WorkerPlan
        In the order in which they are started.
    runtime, control, views
        The line's folder, its phase and its ledgers.
    starter : callable
        Starts a worker.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        plans: Sequence[WorkerPlan],
        runtime: Runtime,
        control: Control,
        views: Views,
        *,
        starter: Starter = start,
    ) -> None:
        self._pipeline = pipeline
        self._runtime = runtime
        self._control = control
        self._views = views
        self._starter = starter
        ledger = Ledger()
        self._kept = {plan.name: _Kept(plan, ledger) for plan in plans}
        self._crashes = Crashes(pipeline, plans, ledger, views)
        ledger.open(runtime.ledger(SUPERVISOR))
        self._ledger = ledger
        self._looked_ns = 0

    def start_all(self) -> None:
        """Start every worker."""
        for kept in self._kept.values():
            self._start(kept)

    def alive(self) -> dict[str, bool]:
        """Whether each worker runs."""
        return {name: bool(kept.up.value) for name, kept in self._kept.items()}

    @property
    def has_sources(self) -> bool:
        """Whether any source runs on this host."""
        return any("source" in kept.plan.stages for kept in self._kept.values())

    def sources_have_ended(self) -> bool:
        """Whether every source here is at its end and drained, or dead and accounted for."""
        draining = self._control.phase >= Phase.DRAINING
        sources = [kept for kept in self._kept.values() if "source" in kept.plan.stages]
        return bool(sources) and all(self._has_ended(kept, draining=draining) for kept in sources)

    def look_after(self) -> None:
        """See to every worker once; call it many times a second.

        Raises
        ------
        InputError
            If a worker can't start because of what it was given.
        LineError
            If one has died too often.
        """
        now_ns = monotonic_ns()
        punctual = now_ns - self._looked_ns < _SECOND_NS // 2
        self._looked_ns = now_ns
        self._crashes.settle()
        for kept in self._kept.values():
            if kept.handle is None:
                self._restart_if_due(kept, now_ns)
                continue
            status = kept.handle.exit_status()
            # A supervisor that was itself held up can't tell who else was.
            if status is None and punctual and self._is_stuck(kept, now_ns):
                _log.error("worker is stuck, is killed", worker=kept.plan.name)
                kept.handle.kill()
                status = kept.handle.exit_status()
            if status is not None:
                self._bury(kept, status, now_ns)

    def close_books(self) -> None:
        """Let nothing more be judged: what the sources hold then is theirs to count."""
        self._crashes.close_books([kept.plan for kept in self._kept.values() if kept.handle])
        pause = Event()
        deadline_ns = monotonic_ns() + _SECOND_NS
        # One that is away judges nothing, and sees the fence before it does.
        while not self._crashes.are_seen() and monotonic_ns() < deadline_ns:
            pause.wait(0.01)

    def await_exit(self) -> None:
        """Wait until every worker has ended by itself; raise if one ended badly."""
        deadline_ns = monotonic_ns() + round(_EXIT_S * _SECOND_NS)
        pause = Event()
        handles = {name: kept.handle for name, kept in self._kept.items() if kept.handle}
        while any(handle.exit_status() is None for handle in handles.values()):
            if monotonic_ns() > deadline_ns:
                break
            pause.wait(0.01)
        self._crashes.settle(ended=True)
        for name, handle in handles.items():
            if handle.exit_status():
                raise self._why(name, handle.exit_status() or 0)

    def end_all(self) -> None:
        """Leave no process behind, whatever happened."""
        deadline_ns = monotonic_ns() + round(_EXIT_S * _SECOND_NS)
        handles = {name: kept.handle for name, kept in self._kept.items() if kept.handle}
        pause = Event()
        while any(h.exit_status() is None for h in handles.values()):
            if monotonic_ns() > deadline_ns:
                break
            pause.wait(0.01)
        for name, handle in handles.items():
            if handle.exit_status() is None:
                _log.error("worker does not end, is killed", worker=name)
            handle.kill()
        self._ledger.close()

    def _start(self, kept: _Kept) -> None:
        kept.handle = self._starter(kept.plan, self._pipeline, self._runtime)
        kept.started_ns = monotonic_ns()
        kept.up.set(1.0)

    def _has_ended(self, kept: _Kept, *, draining: bool) -> bool:
        if kept.done:
            return True
        if kept.handle is None and draining and self._crashes.settles_here:
            return not self._crashes.is_open(kept.plan)
        return kept.handle is not None and self._views.told(
            "streamline_worker_finished", [kept.plan]
        )

    def _bury(self, kept: _Kept, status: int, now_ns: int) -> None:
        """Account for a death, and decide when the worker is started again."""
        name = kept.plan.name
        why = self._why(name, status)
        if isinstance(why, InputError) or kept.handle is None or kept.handle.pid is None:
            self._control.enter(Phase.ABORT)
            raise why
        kept.handle.kill()  # Its exit status is also lost if it is not it that died.
        kept.handle = None
        kept.up.set(0.0)
        if self._has_no_more_to_do(kept):
            kept.done = True
            _log.error("worker died after its work", why=str(why))
            return
        kept.restarts.add()
        self._crashes.open(kept.plan)
        kept.deaths = [t for t in kept.deaths if now_ns - t < _PERIOD_NS] + [now_ns]
        if len(kept.deaths) > _LIMIT:
            self._control.enter(Phase.ABORT)
            msg = f"{why}; that was the {len(kept.deaths)}th time within 10 minutes"
            raise LineError(msg)
        if now_ns - kept.started_ns > _WELL_NS:
            kept.delay_ns = _FIRST_DELAY_NS
        kept.due_ns = now_ns + kept.delay_ns
        _log.error("worker died, is started again", why=str(why), delay_s=kept.delay_ns / 1e9)
        kept.delay_ns = min(2 * kept.delay_ns, _LONGEST_DELAY_NS)

    def _restart_if_due(self, kept: _Kept, now_ns: int) -> None:
        if kept.done or now_ns < kept.due_ns or self._crashes.is_open(kept.plan):
            return
        draining = self._control.phase >= Phase.DRAINING
        if "source" in kept.plan.stages and draining and self._crashes.settles_here:
            return  # Its frames are accounted for, and no new ones are wanted.
        self._start(kept)

    def _has_no_more_to_do(self, kept: _Kept) -> bool:
        """Whether a worker's cameras had ended and drained: they would play once more."""
        return "source" in kept.plan.stages and self._views.told(
            "streamline_worker_finished", [kept.plan]
        )

    def _is_stuck(self, kept: _Kept, now_ns: int) -> bool:
        view = self._views.by_worker().get(kept.plan.name)
        if view is None or kept.handle is None or kept.handle.pid is None:
            return False
        threads = view.values("stage_thread")
        for labels, pulse_s in view.values("stage_pulse_seconds").items():
            pulse_ns = round(pulse_s * 1e9)
            silent_ns = now_ns - pulse_ns
            # An older pulse is a predecessor's: the stage is still being opened.
            if pulse_ns < kept.started_ns or silent_ns < _SILENT_NS:
                continue
            if silent_ns > _BUSY_NS or not _is_running(kept.handle.pid, int(threads[labels])):
                return True
        return False

    def _why(self, name: str, status: int) -> StreamlineError:
        path = self._runtime.failure(name)
        if path.exists():
            failure: Mapping[str, str] = json.loads(path.read_text())
            kind = InputError if failure["input"] else LineError
            return kind(failure["message"])
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return LineError(f"worker {name} ended with {how}; its log says why")


def _is_running(pid: int, thread: int) -> bool:
    """Whether a thread wants the processor or a disk: then it works, or waits for its turn."""
    try:
        text = Path(f"/proc/{pid}/task/{thread}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] in {"R", "D"}
