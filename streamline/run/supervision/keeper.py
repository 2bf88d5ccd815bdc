"""Keep a line's workers alive: see who is dead or stuck, account for it, start it again."""

from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Final

import structlog

from streamline.clock import monotonic_ns
from streamline.config import Pipeline
from streamline.errors import InputError, LineError, StreamlineError
from streamline.ledger import Ledger, LedgerView, begin_again
from streamline.run.accounting.account import ENDED, OPENED
from streamline.run.accounting.crashes import Crashes
from streamline.run.accounting.fences import SUPERVISOR
from streamline.run.accounting.suspects import RUNNING
from streamline.run.control import Control, Phase
from streamline.run.failures import read_failure
from streamline.run.keyring import Keyring
from streamline.run.placement import WorkerPlan
from streamline.run.runtime import Runtime
from streamline.run.stages.stage import CLOSE_S
from streamline.run.supervision.handles import Handle, start
from streamline.run.supervision.pulse import Pulse
from streamline.run.views import Views

__all__ = ["Keeper"]

_log = structlog.get_logger("streamline.run")

_SECOND_NS: Final = 1_000_000_000

_EXIT_S: Final = CLOSE_S + 5.0
"""How long a worker may take to exit once its stages only have to close."""

_FIRST_DELAY_NS: Final = _SECOND_NS // 10
_LONGEST_DELAY_NS: Final = 10 * _SECOND_NS

_WELL_NS: Final = 60 * _SECOND_NS
"""A worker that ran for this long starts over with the shortest delay."""

_LIMIT: Final = 10
"""Deaths of one worker within `_PERIOD_NS`; at one more it is given up: something else must be
mended."""

_PERIOD_NS: Final = 600 * _SECOND_NS


Starter = Callable[[WorkerPlan, Pipeline, Runtime], Handle]


class _Kept:
    """One worker through all its lives."""

    def __init__(self, plan: WorkerPlan, ledger: Ledger) -> None:
        self.plan = plan
        self.up = ledger.gauge("streamline_worker_up", worker=plan.name)
        self.restarts = ledger.counter("streamline_worker_restarts_total", worker=plan.name)
        self.given_up = ledger.gauge("streamline_worker_given_up", worker=plan.name)
        self.handle: Handle | None = None
        self.pulse: Pulse | None = None
        """None for a worker that is no process of its own."""

        self.deaths: list[int] = []
        self.done = False
        """Died when there was nothing left to do for it, or is given up: not started again."""

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
    keyring : Keyring, optional
        Of the supervisor's own link, if others' figures come in here.
    starter : callable
        Starts a worker.
    """

    def __init__(  # noqa: PLR0913 - each is a part of the line
        self,
        pipeline: Pipeline,
        plans: Sequence[WorkerPlan],
        runtime: Runtime,
        control: Control,
        views: Views,
        *,
        keyring: Keyring | None = None,
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
        self.refusals = {} if keyring is None else keyring.refusals(ledger, ["telemetry"])
        """Counters of those who are refused where figures come in."""

        self.refused_requests = ledger.counter("streamline_http_refused_total")

        self._takeovers = ledger.counter("streamline_line_takeovers_total")
        path = runtime.ledger(SUPERVISOR)
        if path.exists():
            begin_again(path)
        ledger.open(path)
        self._ledger = ledger
        self.faults: list[StreamlineError] = []
        """Why workers were given up, or ended badly."""

    def start_all(self) -> None:
        """Start every worker, after taking over from those of a line before."""
        if self._runtime.goes_on:
            self._take_over()
        for kept in self._kept.values():
            self._start(kept)

    def _take_over(self) -> None:
        """Account for what died with its source, and let each worker go on with its counters."""
        anew = {ENDED, OPENED}
        if self._runtime.was_killed:
            self._takeovers.add()
            _log.warning("the line was killed; this one goes on with its run and its counters")
            anew.add(RUNNING)  # Frames that died with their sources never come again.
        for kept in self._kept.values():
            self._crashes.open(kept.plan)
        self._crashes.settle(ended=True)
        for name in self._runtime.workers():
            if name in self._kept:
                begin_again(self._runtime.ledger(name), anew=anew)

    def alive(self) -> dict[str, bool]:
        """Whether each worker runs."""
        return {name: bool(kept.up.value) for name, kept in self._kept.items()}

    @property
    def can_go_on(self) -> bool:
        """Whether every worker that is given up only served cameras of its own."""
        return all(
            kept.plan.serves_cameras_only for kept in self._kept.values() if kept.given_up.value
        )

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
            If a worker can't begin because of what it was given.
        OSError
            If a worker could not be seen to for now; all others have been.
        """
        now_ns = monotonic_ns()
        self._crashes.settle()
        views = self._views.by_worker()
        hindrance: OSError | None = None
        for kept in self._kept.values():
            try:
                self._look_at(kept, views.get(kept.plan.name), now_ns)
            except OSError as exc:
                hindrance = exc
        if hindrance is not None:
            raise hindrance

    def _look_at(self, kept: _Kept, view: LedgerView | None, now_ns: int) -> None:
        if kept.handle is None or kept.done:
            self._restart_if_due(kept, now_ns)
            return
        status = kept.handle.exit_status()
        if status is None and kept.pulse is not None and kept.pulse.is_stuck(view, now_ns):
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
        """Wait until every worker has ended; one that ends badly, or not by itself, is a fault."""
        running = [kept for kept in self._kept.values() if kept.handle and not kept.done]
        handles = {kept.plan.name: kept.handle for kept in running if kept.handle}
        killed = self._end(handles)
        for kept in running:
            if kept.plan.name in killed or (kept.handle and kept.handle.exit_status()):
                self._crashes.open(kept.plan)
        self._crashes.settle(ended=True)
        self._crashes.close()
        for name, handle in handles.items():
            status = handle.exit_status()
            if name in killed:
                what = f"worker {name} did not end within {_EXIT_S:g} s and was killed"
                self.faults.append(LineError(f"{what}; what it had yet to store is lost"))
            elif status:
                why = self._why(name, status)
                _log.error("worker ended badly", worker=name, why=str(why))
                self.faults.append(why)

    def end_all(self) -> None:
        """Leave no process behind, whatever happened."""
        handles = {name: kept.handle for name, kept in self._kept.items() if kept.handle}
        self._end(handles)
        for handle in handles.values():
            handle.kill()
        self._crashes.close()
        self._ledger.close()

    @staticmethod
    def _end(handles: Mapping[str, Handle]) -> list[str]:
        """Give workers time to end by themselves; kill those that don't, and return which."""
        deadline_ns = monotonic_ns() + round(_EXIT_S * _SECOND_NS)
        pause = Event()
        while any(handle.exit_status() is None for handle in handles.values()):
            if monotonic_ns() > deadline_ns:
                break
            pause.wait(0.01)
        late = [name for name, handle in handles.items() if handle.exit_status() is None]
        for name in late:
            _log.error("worker does not end, is killed", worker=name)
            handles[name].kill()
        return late

    def _start(self, kept: _Kept) -> None:
        kept.handle = self._starter(kept.plan, self._pipeline, self._runtime)
        kept.started_ns = monotonic_ns()
        pid = kept.handle.pid
        kept.pulse = None if pid is None else Pulse(pid, kept.started_ns)
        kept.up.set(1.0)

    def _has_ended(self, kept: _Kept, *, draining: bool) -> bool:
        if kept.done:
            return not self._crashes.is_open(kept.plan)
        if kept.handle is None and draining and self._crashes.settles_here:
            return not self._crashes.is_open(kept.plan)
        return kept.handle is not None and self._views.told(
            "streamline_worker_finished", [kept.plan]
        )

    def _bury(self, kept: _Kept, status: int, now_ns: int) -> None:
        """Account for a death, and decide whether and when the worker is started again."""
        why = self._why(kept.plan.name, status)
        refused = isinstance(why, InputError)
        if refused and not kept.deaths:
            self._control.enter(Phase.ABORT)
            raise why
        kept.up.set(0.0)
        if kept.handle is not None:
            kept.handle.kill()  # Its exit status is also lost if it is not it that died.
        if kept.pulse is None:
            self._give_up(kept, why)
            return
        if self._has_no_more_to_do(kept):
            kept.handle, kept.done = None, True
            _log.error("worker died after its work", why=str(why))
            return
        self._crashes.open(kept.plan)
        kept.handle = None
        kept.deaths = [t for t in kept.deaths if now_ns - t < _PERIOD_NS] + [now_ns]
        if refused or len(kept.deaths) > _LIMIT:
            self._give_up(kept, why)
        else:
            self._put_off(kept, why, now_ns)

    def _put_off(self, kept: _Kept, why: StreamlineError, now_ns: int) -> None:
        """Start a worker again in a while, longer each time."""
        kept.restarts.add()
        if now_ns - kept.started_ns > _WELL_NS:
            kept.delay_ns = _FIRST_DELAY_NS
        kept.due_ns = now_ns + kept.delay_ns
        _log.error(
            "worker died, is started again",
            why=str(why),
            delay_s=kept.delay_ns / 1e9,
            deaths=len(kept.deaths),
            limit=_LIMIT,
        )
        kept.delay_ns = min(2 * kept.delay_ns, _LONGEST_DELAY_NS)

    def _give_up(self, kept: _Kept, why: StreamlineError) -> None:
        """Leave a worker dead: the cameras that others serve go on, if there are any."""
        kept.done = True
        kept.given_up.set(1.0)
        if len(kept.deaths) > _LIMIT:
            why = LineError(f"{why}; that was the {len(kept.deaths)}th time within 10 minutes")
        self.faults.append(why)
        _log.error(
            "worker is given up",
            worker=kept.plan.name,
            why=str(why),
            cameras=kept.plan.cameras if kept.plan.serves_cameras_only else "all",
        )

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

    def _why(self, name: str, status: int) -> StreamlineError:
        failure = read_failure(self._runtime.failure(name))
        if failure is not None:
            return failure
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return LineError(f"worker {name} ended with {how}; its log says why")
