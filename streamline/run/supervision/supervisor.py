"""Start a line's workers, watch them, drain them, and say what the run came to."""

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Event
from typing import Final

import structlog
import zmq

from streamline import __version__
from streamline.audit.line import LineRecord
from streamline.audit.records import Account
from streamline.audit.runs import RunFolder
from streamline.clock import monotonic_ns, wall_ns
from streamline.config import Pipeline
from streamline.config.links import LINKS
from streamline.ledger import Ledger, Sample, gauge_sample
from streamline.metrics.believed import believed
from streamline.metrics.benched import BenchFile
from streamline.metrics.exporter import Exporter, FrameRates
from streamline.model import Calibration, Manifest
from streamline.run.control import Control, Phase
from streamline.run.keyring import Keyring
from streamline.run.models import freeze, names_of, read_calibrations, read_manifests
from streamline.run.placement import plan
from streamline.run.room import require_room
from streamline.run.runtime import Runtime
from streamline.run.supervision.access import Access
from streamline.run.supervision.elsewhere import elsewhere
from streamline.run.supervision.health import Health, cameras_down, health_of
from streamline.run.supervision.http import Endpoint
from streamline.run.supervision.keeper import Keeper
from streamline.run.supervision.report import Report, report_of
from streamline.run.supervision.service import Service
from streamline.run.views import Views
from streamline.transport.refusals import Refusals
from streamline.transport.telemetry import TelemetryInlet, TelemetryOutlet, Told

__all__ = ["Supervisor"]

_log = structlog.get_logger("streamline.run")

_TICK_S: Final = 0.1

_SHORT_TICK_S: Final = 0.01
"""The same while something is waited for: that the line is ready, or drained."""

_SECOND_NS: Final = 1_000_000_000

_SHORT_OF: Final = frozenset({errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What a host may have too little of for a while."""

_SILENCE_NS: Final = 5 * _SECOND_NS
"""After this without an answer somebody who starts a part of a line may wonder."""

_GRACE_NS: Final = 3 * _SECOND_NS
"""How long cameras that take their time to open hold up those that are ready."""


class Supervisor:
    """A line under one configuration, from folder to report.

    Parameters
    ----------
    pipeline : Pipeline
    only : str, optional
        Run only the workers that contain this stage.
    service : Service
        What it has in common with the configurations before and after.
    ran : bool
        Whether the line ran under this configuration and goes back to it: what can't be opened just
        now is tried again.
    """

    def __init__(
        self, pipeline: Pipeline, only: str | None, service: Service, *, ran: bool = False
    ) -> None:
        self._pipeline = pipeline
        self._ran = ran
        self._only = only
        self._plans = plan(pipeline, only)
        self._runtime = Runtime.of(pipeline, only or "")
        self._exports = only is None or any("alert" in p.stages for p in self._plans)
        self._views: Views
        self._keeper: Keeper
        self._keyring: Keyring
        self._rates = FrameRates()
        self._service = service
        self.successor: Pipeline | None = None
        """What is to be gone on with, once this has ended for it."""

        self.counted: Sequence[Sample] = ()
        """What had been counted at the end, under earlier configurations too."""

        self._ready_ns: int | None = None
        self._connected_ns: int | None = None
        self._wonders_ns: int | None = None
        """When to say that other hosts don't answer; None: that is said, or they are none."""

        self._control: Control
        self._endpoint: Endpoint | None = None
        self._told: Sequence[Told] = ()
        # In memory: what is counted of others' figures ends with whoever takes them in.
        self._counts = Ledger()
        self._noted_ns = 0
        self._is_short = False
        self._record: LineRecord | None = None
        self._push: TelemetryOutlet | None = None
        self._pull: TelemetryInlet | None = None

    @property
    def was_ready(self) -> bool:
        """Whether it came to run."""
        return self._ready_ns is not None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Own the line's folder, endpoint and workers for as long as the block runs."""
        models = read_manifests(self._pipeline)
        with ExitStack() as stack:
            calibrations = read_calibrations(self._pipeline, models)
            lock = self._runtime.acquire("" if self._only else names_of(models, calibrations))
            stack.callback(self._runtime.release, lock)
            if self._only is None:
                sizes = {name: (one.input.height, one.input.width) for name, one in models.items()}
                require_room(self._runtime.folder, self._pipeline, sizes)
            freeze(models, calibrations, self._runtime)
            self._open_record(stack, models, calibrations)
            resumed = self._runtime.was_killed or self._ran
            Control.create(self._runtime.control, Phase.RESUMING if resumed else Phase.STARTING)
            self._control = Control(self._runtime.control)
            self._views = Views(self._runtime, heir=True)
            stack.callback(self._views.close)
            self._keyring = Keyring(self._pipeline.links)
            self._keeper = Keeper(
                self._pipeline,
                self._plans,
                self._runtime,
                self._control,
                self._views,
                keyring=self._keyring if self._exports else None,
            )
            stack.callback(self._end)
            self._open_telemetry(stack)
            self._open_endpoint(stack, models)
            self._keeper.start_all()
            yield

    def run(
        self,
        duration_s: float | None,
        on_ready: Callable[[str | None, Mapping[str, str]], None],
        renew: Callable[[], Pipeline | None] | None,
    ) -> Report:
        """Be the line's main loop.

        Parameters
        ----------
        duration_s : float, optional
            Drain this long after the line became ready, s.
        on_ready : callable
            Called with the HTTP endpoint's URL, None if there is none, and the reason of each
            camera that is down.
        renew : callable, optional
            Called when a reload is asked for; what it returns becomes the successor.
        """
        self._service.herald.begin(self._pipeline.ready_s)
        self._wonders_ns = None if self._only is None else monotonic_ns() + _SILENCE_NS
        while self._control.phase is not Phase.DRAINING:
            self._service.stop.wait(_TICK_S if self._ready_ns else _SHORT_TICK_S)
            self._look_after()
            now_ns = monotonic_ns()
            if self._ready_ns is None and self._is_ready(now_ns):
                self._ready_ns = now_ns
                self._control.enter(Phase.RUNNING)
                url = self._endpoint.url if self._endpoint else None
                on_ready(url, cameras_down(self._present()))
            self._wonder(now_ns)
            self._note_if_due(now_ns)
            if renew is not None and self.was_ready and self._service.reload.take():
                self.successor = renew()
            if self.successor is not None or self._is_over(now_ns, duration_s):
                self._control.enter(Phase.DRAINING)
        if self.successor is None:
            self._service.herald.stop()
        self._drain()
        return self._report()

    def _look_after(self) -> None:
        """See to the workers; where the host has no descriptors left, at the next time again."""
        try:
            self._keeper.look_after()
        except OSError as exc:
            if exc.errno not in _SHORT_OF:
                raise
            if not self._is_short:
                _log.error("workers can't be seen to for now", why=exc.strerror)
            self._is_short = True
        else:
            self._is_short = False

    def _open_record(
        self,
        stack: ExitStack,
        models: Mapping[str, Manifest],
        calibrations: Mapping[str, Calibration],
    ) -> None:
        """Begin the audit record, and tell the workers where it is."""
        audit = self._pipeline.record.audit
        if audit is None:
            return
        before = RunFolder.told_in(self._runtime.audit)
        self._record = LineRecord(self._pipeline, audit, self._only, before)
        stack.callback(self._record.close)
        self._record.begin(models, calibrations)
        self._record.run.leave_in(self._runtime.audit)

    def _open_telemetry(self, stack: ExitStack) -> None:
        kind = self._pipeline.links.telemetry
        if kind is None:
            return
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(context.destroy, 200)
        address = self._runtime.address("telemetry", kind)
        keyring = self._keyring
        if self._exports:
            keyring.guard(context, self._keeper.refusals)
            stack.callback(keyring.close)
            self._pull = TelemetryInlet(
                context,
                address,
                sift=partial(believed, cameras=self._pipeline.cameras),
                refusals=self._refusals(),
                door=keyring.door("telemetry"),
            )
            stack.callback(self._pull.close)
        else:
            lock = keyring.lock("telemetry")
            self._push = TelemetryOutlet(context, address, self._runtime.account, lock=lock)
            stack.callback(self._push.close)

    def _refusals(self) -> Refusals:
        counter = self._counts.counter(
            "streamline_link_refused_total", link="telemetry", reason="message"
        )
        return Refusals("telemetry", counter)

    def _open_endpoint(self, stack: ExitStack, models: Mapping[str, Manifest]) -> None:
        metrics = self._pipeline.metrics
        if not self._exports or metrics.port is None:
            return
        distinct = {model.digest: model for model in models.values()}
        information = {
            "streamline_build_info": [{"version": __version__}],
            "streamline_model_info": [
                {"model": digest[:12], "backbone": model.backbone.name}
                for digest, model in distinct.items()
            ],
        }
        bench = None if metrics.bench is None else BenchFile(metrics.bench)
        exporter = Exporter(self._samples, self._rates, information, bench)
        access = Access.of(metrics, self._keeper.refused_requests)
        self._endpoint = Endpoint(
            metrics.address, metrics.port, exporter, self._health, access=access
        )
        stack.callback(self._endpoint.close)

    def _present(self, *, rings: bool = False) -> list[Sample]:
        """Everything that is counted under this configuration, here and on other hosts."""
        here = self._views.samples(rings=rings) + self._counts.samples()
        return here + elsewhere(self._told)

    def _samples(self) -> list[Sample]:
        """Everything that is published."""
        refused = float(self._service.herald.refused)
        return [
            *self._present(),
            *self._service.past,
            gauge_sample("streamline_reload_refused", refused),
        ]

    def _note_if_due(self, now_ns: int) -> None:
        if now_ns - self._noted_ns >= _SECOND_NS:
            self._noted_ns = now_ns
            self._note()
            self._tell_manager()

    def _tell_manager(self) -> None:
        last = self._plans[0].stages[-1]
        fps = sum(rate for _, stage, rate in self._rates.rates() if stage == last)
        health = self._health()
        if not self._exports:
            # Who judges, and whom, is known elsewhere: here it shows that frames leave.
            health = health._replace(judged=fps > 0, stuck=())
        self._service.herald.look(health, fps, self._control.phase)

    def _note(self) -> None:
        """Once a second: take down the counts, and pass them on if the exporter is elsewhere.

        Only here, in one thread, are the telemetry sockets touched; HTTP threads see the result.
        """
        if self._pull is not None:
            self._told = list(self._pull.latest().values())
        self._rates.note(self._present())
        if self._push is not None:
            for worker, view in self._views.by_worker().items():
                self._push.send(worker, view.samples())

    def _health(self) -> Health:
        alive = self._keeper.alive()
        running_s = None
        if self._control.phase is Phase.RUNNING and self._ready_ns is not None:
            running_s = (monotonic_ns() - self._ready_ns) / _SECOND_NS
        return health_of(self._present(), alive, running_s=running_s, now_s=wall_ns() / 1e9)

    def _wonder(self, now_ns: int) -> None:
        """Say once that nobody answers: who is refused by another host hears nothing of it."""
        if self._wonders_ns is None or self._connected_ns is not None or now_ns < self._wonders_ns:
            return
        self._wonders_ns = None
        kinds = {link: getattr(self._pipeline.links, link) for link in LINKS}
        links = [
            f"{link} {kind}" for link, kind in kinds.items() if kind and kind.startswith("tcp:")
        ]
        _log.warning(
            "no answer from other parts of the line yet; are they running, and is this host's key "
            "on their list? Their log says whom they refuse",
            links=links,
        )

    def _is_ready(self, now_ns: int) -> bool:
        if not self._views.told("streamline_worker_connected", self._plans):
            return False
        if self._connected_ns is None:
            self._connected_ns = now_ns
        late = now_ns - self._connected_ns > _GRACE_NS
        return late or self._views.told("streamline_worker_ready", self._plans)

    def _is_over(self, now_ns: int, duration_s: float | None) -> bool:
        if self._service.stop.made or self._keeper.sources_have_ended():
            return True
        if not self._keeper.can_go_on:
            return True
        if duration_s is None or self._ready_ns is None:
            return False
        return now_ns - self._ready_ns >= duration_s * _SECOND_NS

    def _drain(self) -> None:
        """Let the sources finish what is in flight, then end every stage."""
        deadline_ns = monotonic_ns() + round(self._pipeline.drain_s * _SECOND_NS)
        pause = Event()
        while self._keeper.has_sources and not self._keeper.sources_have_ended():
            self._look_after()
            now_ns = monotonic_ns()
            self._note_if_due(now_ns)
            late = now_ns > deadline_ns
            if late:
                _log.error("draining took too long", drain_s=self._pipeline.drain_s)
            if late or not self._keeper.can_go_on:
                self._keeper.close_books()
                self._control.enter(Phase.ABORT)
                break
            pause.wait(_SHORT_TICK_S)
        self._control.enter(Phase.FINISHING)

    def _report(self) -> Report:
        """Wait for the last words of every worker, then read its figures."""
        self._keeper.await_exit()
        self._note()  # The exporter on another host learns how it ended.
        started_ns = self._ready_ns if self._ready_ns is not None else monotonic_ns()
        duration_s = (monotonic_ns() - started_ns) / _SECOND_NS
        report = report_of(
            self._present(rings=True),
            self._pipeline.cameras,
            duration_s,
            faults=self._keeper.faults,
        )
        if self._record is not None:
            faults = tuple(map(str, report.faults))
            self._record.end(_accounts(report), alerts=report.alerts, faults=faults)
        self._runtime.conclude()
        here = self._views.samples() + self._counts.samples()
        self.counted = [*here, *self._service.past]
        return report

    def _end(self) -> None:
        """Leave no process behind, whatever happened."""
        self._control.enter(Phase.ABORT)
        self._keeper.end_all()


def _accounts(report: Report) -> dict[str, Account]:
    """Return what the audit record says of each camera's frames."""
    return {
        name: Account(
            captured=camera.captured,
            judged=camera.judged,
            dropped=camera.dropped,
            in_flight=camera.in_flight,
            evidence=camera.evidence,
            evidence_skipped=camera.evidence_skipped,
        )
        for name, camera in report.cameras.items()
    }
