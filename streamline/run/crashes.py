"""Account for the frames that died with a source: exactly those without an outcome.

The frames which a dead source held may still be on their way to a verdict.  So its incarnation
is fenced first: once the alert stage has seen the fence it judges none of them any more, and
what has neither a verdict nor a reason why it was dropped has died.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import structlog

from streamline.alert.sinks import JsonLines
from streamline.clock import monotonic_ns
from streamline.config import Pipeline
from streamline.errors import InputError
from streamline.ledger import Ledger
from streamline.run.fences import FenceCells
from streamline.run.placement import WorkerPlan
from streamline.run.views import Views

__all__ = ["Crashes"]

_log = structlog.get_logger("streamline.run")

_PATIENCE_NS: Final = 10_000_000_000
"""How long the alert stage may take to see a fence; it may have to be restarted itself."""


class Crashes:
    """Deaths of sources that are not accounted for yet, and the count of those that are."""

    def __init__(
        self, pipeline: Pipeline, plans: Sequence[WorkerPlan], ledger: Ledger, views: Views
    ) -> None:
        self._views = views
        self._drops = pipeline.record.drops
        self._judge = next((plan.name for plan in plans if "alert" in plan.stages), None)
        self._fences = FenceCells(ledger, pipeline.cameras)
        self._counts = {
            name: ledger.counter(
                "streamline_frames_dropped_total", camera=name, stage="source", reason="crashed"
            )
            for name in pipeline.cameras
        }
        self._open: dict[str, tuple[str, int, int]] = {}
        """By camera: its worker, the incarnation that died, and since when it waits, ns."""

    def open(self, plan: WorkerPlan) -> None:
        """Begin to account for a dead worker's frames."""
        if "source" not in plan.stages:
            return  # What other stages lose is sent again by those before them.
        view = self._views.by_worker().get(plan.name)
        if view is None:
            return
        for camera in plan.cameras:
            incarnation = int(view.value("source_incarnation", camera=camera))
            if incarnation:
                self._fences.put(camera, incarnation)
                self._open[camera] = (plan.name, incarnation, monotonic_ns())

    def is_open(self, plan: WorkerPlan) -> bool:
        """Whether frames of this worker are still unaccounted for."""
        return any(worker == plan.name for worker, _, _ in self._open.values())

    def settle(self) -> None:
        """Count what died, for every camera whose fence has been seen."""
        for camera, (worker, incarnation, since_ns) in list(self._open.items()):
            late = monotonic_ns() - since_ns > _PATIENCE_NS
            if not late and not self._has_seen(camera, incarnation):
                continue
            del self._open[camera]
            lost = self._unaccounted(camera)
            self._counts[camera].add(lost)
            ids = list(self._without_outcome(camera, worker, incarnation))
            _log.warning("frames died with their source", camera=camera, frames=lost)
            self._record(camera, incarnation, ids)

    def _has_seen(self, camera: str, incarnation: int) -> bool:
        view = self._views.by_worker().get(self._judge or "")
        return view is not None and view.value("fence_seen", camera=camera) >= incarnation

    def _unaccounted(self, camera: str) -> int:
        """Frames captured without a verdict or a reason for being dropped."""
        total = {"captured": 0.0, "known": 0.0}
        for view in self._views.all():
            for sample in view.samples():
                if sample.labels.get("camera") != camera:
                    continue
                if sample.name == "streamline_frames_captured_total":
                    total["captured"] += float(sample.values[0])
                elif sample.name in {
                    "streamline_frames_judged_total",
                    "streamline_frames_dropped_total",
                }:
                    total["known"] += float(sample.values[0])
        return max(0, round(total["captured"] - total["known"]))

    def _without_outcome(self, camera: str, worker: str, incarnation: int) -> Iterator[int]:
        """Numbers of the frames that the dead source held and nobody judged."""
        views = self._views.by_worker()
        held = views[worker].table("source_held", camera=camera)
        judged: set[int] = set()
        if self._judge is not None and self._judge in views:
            journal = views[self._judge].table("journal", camera=camera).reshape(-1, 6)
            judged = {int(seq) for inc, seq, *_ in journal if int(inc) == incarnation}
        for seq in np.sort(held[held > 0] - 1):
            if int(seq) not in judged:
                yield int(seq)

    def _record(self, camera: str, incarnation: int, ids: Sequence[int]) -> None:
        if self._drops is None or not ids:
            return
        drop = {"camera": camera, "incarnation": incarnation, "stage": "source"}
        lines = [json.dumps({**drop, "seq": seq, "reason": "crashed"}) for seq in ids]
        try:
            log = JsonLines(self._drops)
            log.write(("\n".join(lines) + "\n").encode())
            log.close()
        except (InputError, OSError) as exc:
            _log.error("drop log can't be written", why=str(exc))
