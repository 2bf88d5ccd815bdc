"""One worker of a line: its stages as threads, its counters, and how it ends."""

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event

import structlog
import zmq

from streamline.alert.judge import CameraRule
from streamline.config import Pipeline
from streamline.errors import StreamlineError
from streamline.ledger import Ledger
from streamline.log import configure_logging, flush_logging
from streamline.model import Calibration, Manifest, digest_under
from streamline.run.control import Control
from streamline.run.failures import leave_failure
from streamline.run.keyring import Keyring
from streamline.run.models import (
    as_seen,
    load_models,
    read_calibrations,
    read_manifests,
    require_frozen,
)
from streamline.run.placement import WorkerPlan
from streamline.run.runtime import Runtime
from streamline.run.stages.stage import Site, Stage
from streamline.run.tether import end_with_supervisor
from streamline.transport.parcels import Copied, Lent

__all__ = ["Worker", "work"]

_log = structlog.get_logger("streamline.run")

_TICK_S = 0.1

_STARTING_TICK_S = 0.01
"""The same until it is ready: the line waits for it."""


class Worker:
    """The stages of one plan, sharing a ZeroMQ context and a ledger."""

    def __init__(self, plan: WorkerPlan, pipeline: Pipeline, runtime: Runtime) -> None:
        models = read_manifests(pipeline)
        # A camera's process only needs the input size, and infer sees whether that has changed.
        if not plan.serves_cameras_only:
            require_frozen(pipeline, models, runtime)
        wanted = not {"alert", "preprocess"}.isdisjoint(plan.stages)
        calibrations = read_calibrations(pipeline, models) if wanted else {}
        if "alert" in plan.stages:
            require_frozen(pipeline, calibrations, runtime)
        self._plan = plan
        self._ledger = Ledger()
        self._ready = self._ledger.gauge("streamline_worker_ready", worker=plan.name)
        self._connected = self._ledger.gauge("streamline_worker_connected", worker=plan.name)
        self._finished = self._ledger.gauge("streamline_worker_finished", worker=plan.name)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._keyring = Keyring(pipeline.links)
        self._keyring.guard(self._context, self._keyring.refusals(self._ledger, plan.doors))
        self._site = Site(
            keyring=self._keyring,
            pipeline=pipeline,
            runtime=runtime,
            control=Control(runtime.control),
            context=self._context,
            ledger=self._ledger,
            parcels=Lent() if pipeline.links.frames == "inproc" else Copied(),
        )
        self._stages = list(_stages(plan, self._site, models, calibrations))
        self._ledger.open(runtime.ledger(plan.name))

    def run(self) -> None:
        """Run every stage until the line finishes.

        Raises
        ------
        StreamlineError
            What a stage could not do, in one sentence.
        """
        for stage in self._stages:
            stage.start()
        pause = Event()
        try:
            while any(stage.is_alive() for stage in self._stages):
                pause.wait(_TICK_S if self._ready.value else _STARTING_TICK_S)
                self._publish()
                self._check()
            self._check()
        finally:
            self._close()

    def _publish(self) -> None:
        stages = self._stages
        self._ready.set(float(all(stage.ready.is_set() for stage in stages)))
        self._connected.set(float(all(stage.connected.is_set() for stage in stages)))
        sources = [stage for stage in stages if stage.name.startswith("source-")]
        # In this order: one that fails says why before it is finished.
        ended = all(stage.finished.is_set() and stage.failure is None for stage in sources)
        self._finished.set(float(bool(sources) and ended))

    def _check(self) -> None:
        for stage in self._stages:
            if stage.failure is not None:
                raise stage.failure

    def _close(self) -> None:
        """Let the stages that are still running see the end, then free everything."""
        failed = any(stage.failure is not None for stage in self._stages)
        if failed:
            return  # The process ends; threads and sockets end with it.
        self._publish()
        self._keyring.close()
        self._context.destroy(linger=200)
        self._ledger.close()


def work(plan: WorkerPlan, pipeline: Pipeline, folder: Path) -> None:
    """Be a worker process, from start to exit status.

    The terminal's Ctrl-C and end, and a service manager's SIGTERM, reach every process of the line;
    only the supervisor acts on them, and tells its workers by the line's phase.  Where it is
    killed, its workers go with it: the next start takes over what they leave.
    """
    end_with_supervisor()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Told apart in ps and top; the kernel keeps 15 characters.
    Path("/proc/self/comm").write_text(f"sl:{plan.name}"[:15])
    configure_logging()
    runtime = Runtime(folder)
    try:
        Worker(plan, pipeline, runtime).run()
    except StreamlineError as exc:
        leave_failure(exc, runtime.failure(plan.name))
        status = 2
    except Exception:  # noqa: BLE001 - the log says it, the exit status too
        _log.exception("worker failed", worker=plan.name)
        status = 70
    else:
        status = 0
    flush_logging()
    with suppress(OSError):  # A disk that is full is no reason to end otherwise.
        sys.stdout.flush()
        sys.stderr.flush()
    # Not sys.exit: threads that hang in a camera's driver must not keep a finished worker alive.
    os._exit(status)


def _stages(
    plan: WorkerPlan,
    site: Site,
    models: Mapping[str, Manifest],
    calibrations: Mapping[str, Calibration],
) -> list[Stage]:
    """Make the plan's stages, downstream first; only what is needed is imported."""
    pipeline = site.pipeline
    cameras = [pipeline.cameras[name] for name in plan.cameras]
    stages: list[Stage] = []
    if "alert" in plan.stages:
        from streamline.run.stages.alert import AlertStage  # noqa: PLC0415

        stages.append(AlertStage(site, _rules(pipeline, models, calibrations)))
    if plan.share is not None:
        from streamline.run.stages.infer import InferStage  # noqa: PLC0415

        loaded = load_models(pipeline, plan.share.cameras)
        require_frozen(pipeline, loaded, site.runtime)
        stages.append(InferStage(site, plan.share, as_seen(loaded)))
    if "preprocess" in plan.stages:
        from streamline.run.stages.preprocess import PreprocessStage  # noqa: PLC0415

        sizes = {name: (model.input.height, model.input.width) for name, model in models.items()}
        scenes = {name: one.scene for name, one in calibrations.items()}
        alone = pipeline.links.frames == "inproc"
        groups = [[camera] for camera in cameras] if alone else [cameras]
        stages += [PreprocessStage(site, group, sizes, scenes) for group in groups]
    if "source" in plan.stages:
        from streamline.run.stages.capture import Capture  # noqa: PLC0415
        from streamline.run.stages.source import SourceStage  # noqa: PLC0415

        captures: dict[str, Capture] = {}
        stages += [SourceStage(site, camera, captures) for camera in cameras]
    return stages


def _rules(
    pipeline: Pipeline, models: Mapping[str, Manifest], calibrations: Mapping[str, Calibration]
) -> dict[str, CameraRule]:
    evidence = pipeline.record.evidence
    if evidence is not None and not evidence.per_minute.begins:
        evidence = None  # No alert has a folder.
    return {
        name: CameraRule(
            test=calibrations[name].test,
            calibration=calibrations[name].digest,
            k=camera.alert.k,
            n=camera.alert.n,
            model=digest_under(models[name].digest, calibrations[name].mask),
            evidence=None if evidence is None else str(evidence.path / name),
            deadline_ns=None if camera.deadline_ms is None else round(camera.deadline_ms * 1e6),
        )
        for name, camera in pipeline.cameras.items()
    }
