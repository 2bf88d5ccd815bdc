"""Account for the frames that died with a source: exactly those without an outcome.

The frames which a dead source held may still be on their way to a verdict.  So its incarnation
is fenced first: stages that have seen the fence judge and drop none of them any more, and
what has neither a verdict nor a reason why it was dropped has died.

A host may have no descriptors left when a source dies.  What is counted and shown is therefore in
memory that was mapped before, and what needs a file waits, or is counted as lost.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from streamline.clock import monotonic_ns, wall_ns
from streamline.config import Pipeline
from streamline.ledger import Ledger, LedgerView
from streamline.messages import Dropped, FrameId
from streamline.metrics.catalogue import CAMERA_STATES
from streamline.run.accounting.belated import BelatedLines
from streamline.run.accounting.fates import decided, dropped_of
from streamline.run.accounting.fences import FenceCells, have_seen
from streamline.run.accounting.held import held_at_death
from streamline.run.accounting.journal import commits_in
from streamline.run.placement import WorkerPlan
from streamline.run.views import Views

__all__ = ["Crashes"]

_log = structlog.get_logger("streamline.run")

_PATIENCE_NS: Final = 10_000_000_000
"""How long stages may take to see a fence; one may have to be restarted itself."""

_CRASHED: Final = Dropped(stage="source", reason="crashed")


class Crashes:
    """Deaths of sources that are not accounted for yet, and the count of those that are.

    Parameters
    ----------
    pipeline : Pipeline
    plans : sequence of WorkerPlan
        All that run on this host.
    ledger : Ledger
        The supervisor's, not opened yet.
    views : Views
        Of an heir.
    """

    def __init__(
        self, pipeline: Pipeline, plans: Sequence[WorkerPlan], ledger: Ledger, views: Views
    ) -> None:
        self._views = views
        self._workers = [plan.name for plan in plans]
        self._lines = BelatedLines(ledger, pipeline.record.drops)
        self._judge = next((plan.name for plan in plans if "alert" in plan.stages), None)
        self._fences = FenceCells(ledger, pipeline.cameras)
        self._counts = {
            name: ledger.counter(
                "streamline_frames_dropped_total", camera=name, stage="source", reason="crashed"
            )
            for name in pipeline.cameras
        }
        self._counted: dict[str, int] = {}
        """By camera: the latest incarnation that is accounted for."""

        self._dead: dict[str, WorkerPlan] = {}
        """By name: workers that died and whose ledger has not been looked at yet."""

        self._open: dict[str, tuple[str, int, int]] = {}
        """By camera: its worker, the incarnation that died, and since when it waits, ns."""

    def open(self, plan: WorkerPlan) -> None:
        """Begin to account for a dead worker's frames: `is_open` until they are."""
        if "source" in plan.stages:  # What other stages lose is sent again by those before them.
            self._dead[plan.name] = plan
            self._fence_dead()

    def _fence_dead(self) -> None:
        """Fence what is dead, as far as there are descriptors to look at its ledger."""
        for plan in list(self._dead.values()):
            if self._views.is_hidden(plan.name):
                continue
            del self._dead[plan.name]
            view = self._views.by_worker().get(plan.name)
            if view is not None:
                for camera in plan.cameras:
                    self._fence(view, plan.name, camera)

    def _fence(self, view: LedgerView, worker: str, camera: str) -> None:
        _show_down(view, camera)
        incarnation = int(view.value("source_incarnation", camera=camera))
        # A successor that did not come to begin leaves its predecessor's ledger as it was.
        if incarnation > self._counted.get(camera, 0) and self._judge is not None:
            self._fences.put(camera, incarnation)
            self._open[camera] = (worker, incarnation, monotonic_ns())

    @property
    def settles_here(self) -> bool:
        """Whether verdicts are given on this host; else a dead source's successor has to ask."""
        return self._judge is not None

    def is_open(self, plan: WorkerPlan) -> bool:
        """Whether frames of this worker are still unaccounted for."""
        fenced = any(worker == plan.name for worker, _, _ in self._open.values())
        return fenced or plan.name in self._dead

    def settle(self, *, ended: bool = False) -> None:
        """Count what died, for every camera whose fence has been seen.

        Parameters
        ----------
        ended : bool
            No stage runs any more: what has been judged by now is all that ever will be.
        """
        self._fence_dead()
        if not self._open:
            return
        if not ended and any(map(self._views.is_hidden, self._workers)):
            return  # What is judged or dropped there would be taken for lost.
        for camera, (worker, incarnation, since_ns) in list(self._open.items()):
            late = monotonic_ns() - since_ns > _PATIENCE_NS
            if not (ended or late or self._is_final(camera, worker, incarnation)):
                continue
            del self._open[camera]
            self._count(camera, worker, incarnation)

    def close_books(self, plans: Iterable[WorkerPlan]) -> None:
        """Fence what living sources still hold: no more of it is judged once that is seen."""
        views = self._views.by_worker()
        for plan in plans:
            for camera in plan.cameras if "source" in plan.stages and plan.name in views else ():
                incarnation = int(views[plan.name].value("source_incarnation", camera=camera))
                self._fences.put(camera, incarnation)

    def are_seen(self) -> bool:
        """Whether every stage here has seen every fence."""
        return all(
            have_seen(view, camera, fence)
            for view in self._views.all()
            for camera, fence in self._fences.all().items()
        )

    def close(self) -> None:
        """Write the last lines of the drop log, as far as its disk takes them."""
        self._lines.close()

    def _count(self, camera: str, worker: str, incarnation: int) -> None:
        self._counted[camera] = incarnation
        lost = self._unaccounted(camera)
        self._counts[camera].add(lost)
        view = self._views.by_worker()[worker]
        view.inherit("streamline_frames_in_flight", 0.0, camera=camera)
        if lost:
            _log.warning("frames died with their source", camera=camera, frames=lost)
        self._record(camera, incarnation, self._held(camera, worker, incarnation))

    def _is_final(self, camera: str, worker: str, incarnation: int) -> bool:
        """Whether no other worker judges or drops any more of what this one held."""
        views = self._views.by_worker()
        return self._judge in views and all(
            have_seen(view, camera, incarnation) for name, view in views.items() if name != worker
        )

    def _unaccounted(self, camera: str) -> int:
        """Frames captured without a verdict or a reason for being dropped."""
        captured = dropped = 0.0
        for view in self._views.all():
            for sample in view.samples():
                if sample.labels.get("camera") != camera:
                    continue
                if sample.name == "streamline_frames_captured_total":
                    captured += float(sample.values[0])
                elif sample.name == "streamline_frames_dropped_total":
                    dropped += float(sample.values[0])
        # Not the counters by verdict, which follow it.
        judge = self._views.by_worker().get(self._judge or "")
        judged = 0.0 if judge is None else commits_in(judge, camera)
        return max(0, round(captured - dropped - judged))

    def _held(self, camera: str, worker: str, incarnation: int) -> set[FrameId]:
        """Frames that the dead source had not done with."""
        source = self._views.by_worker()[worker]
        base = source.table("source_base", camera=camera)[0]
        captured = source.value("streamline_frames_captured_total", camera=camera) - base
        seqs = held_at_death(source, camera, captured)
        return {FrameId(camera, incarnation, seq) for seq in seqs}

    def _record(self, camera: str, incarnation: int, held: set[FrameId]) -> None:
        """Let the drop log name what died, and what was dropped and not written any more."""
        views = self._views.by_worker()
        known = decided(views, camera, incarnation)
        why = {frame: _CRASHED for frame in held if frame.seq not in known}
        self._lines.write(why | dropped_of(views, held))


def _show_down(view: LedgerView, camera: str) -> None:
    """Publish for a dead source that its camera is down, until a successor knows better."""
    for state in CAMERA_STATES:
        view.inherit("streamline_camera_state", state == "down", camera=camera, state=state)
    view.inherit("streamline_camera_down_reason", 1.0, camera=camera, reason="error")
    since = "streamline_camera_state_since_timestamp_seconds"
    view.inherit(since, wall_ns() / 1e9, camera=camera)
