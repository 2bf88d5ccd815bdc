"""What the infer stage runs on the device: frames of all cameras whose models share a network."""

import math
import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from threading import Condition
from typing import Final

import structlog

from streamline.clock import monotonic_ns
from streamline.errors import InferenceError
from streamline.infer import Compute, Heads, Mapper, Scorer, distinct, open_mapper, open_scorer
from streamline.messages import FrameId, Judged, Prepared
from streamline.model import Model
from streamline.run.accounting.suspects import Suspects
from streamline.transport.link import Delivery

__all__ = ["Batch", "Entry", "HeatMaps", "Lane"]

_log = structlog.get_logger("streamline.infer")

_MAPS_WAITING: Final = 32
"""Frames that may wait for a heat map: the least that a camera is owed is its verdict, in time."""

Entry = tuple[Delivery, Prepared]
"""A frame, and the message it came with."""


class Batch:
    """Frames that went to the device together, in the order they lie there."""

    __slots__ = ("counts", "done", "entries", "slot", "started_ns")

    def __init__(self, entries: list[Entry], slot: int | None, counts: list[int]) -> None:
        self.entries = entries
        self.slot = slot
        """None if no frame of it has pixels."""

        self.counts = counts
        self.started_ns = monotonic_ns()
        self.done = slot is None


class Lane:
    """Models on one network: their frames gather, run in a free slot, and leave in order.

    Parameters
    ----------
    models : mapping of camera name to Model
        Of one `score_network`.
    compute : Compute
    wake : int
        Event descriptor to write to when a batch is finished.
    """

    def __init__(self, models: Mapping[str, Model], compute: Compute, wake: int) -> None:
        self._wake = wake
        self._changed = Condition()
        self._completed: set[int] = set()
        self._heads = Heads(models)
        self._scorer: Scorer = open_scorer(distinct(models), compute, on_done=self._on_done)
        self.slots = self._scorer.slots
        self.size = (self._scorer.height, self._scorer.width)
        self.free = list(range(self.slots))
        self.gathered: list[Entry] = []
        self.held = 0
        """Frames that have gathered, run, or wait for their scores to be taken."""

        self.since_ns = 0
        self.running: deque[Batch] = deque()
        self._warm_up()

    def _warm_up(self) -> None:
        """Judge a blank frame in every slot: a device's first ones take several times as long."""
        for slot in self.free:
            self._scorer.start(slot, 1)
        with self._changed:
            self._changed.wait_for(lambda: len(self._completed) == self.slots)
            self._completed.clear()

    def close(self) -> None:
        """Wait for what runs and release the device."""
        self._scorer.close()

    def gather(self, entry: Entry) -> None:
        """Add a frame to the next batch."""
        if not self.gathered:
            self.since_ns = monotonic_ns()
        self.gathered.append(entry)
        self.held += 1

    @property
    def streams(self) -> int:
        """Batches that the device works on side by side: one slot more is there to be filled."""
        return max(1, self.slots - 1)

    @property
    def share(self) -> int:
        """How many of the gathered frames the next batch should take for the sake of latency.

        Frames in one batch wait for each other.  A batch of all that came while the device was
        busy would keep it busy for as long again, and so on: latency would stay high long after
        the cause is gone.  So they are shared out among the batches side by side.
        """
        return math.ceil(len(self.gathered) / self.streams)

    def start(self, count: int) -> None:
        """Run the first *count* frames of those that have gathered."""
        first, self.gathered = self.gathered[:count], self.gathered[count:]
        self.since_ns = monotonic_ns()
        # By head, as the device wants them; a camera's frames stay in their order.
        entries = sorted(first, key=lambda entry: self._heads.of(entry[1].origin.id.camera))
        counts = self._heads.counts(
            prepared.origin.id.camera for _, prepared in entries if prepared.pixels is not None
        )
        slot = self.free.pop() if any(counts) else None
        # In this list before it is started: it may complete at once.
        self.running.append(Batch(entries, slot, counts))
        if slot is not None:
            rows = iter(self._scorer.input(slot))
            for _, prepared in entries:
                if prepared.pixels is not None:
                    next(rows)[:] = prepared.pixels
            self._scorer.start(slot, *counts)

    def finished(self) -> Batch | None:
        """Return the oldest batch if it has completed; a younger one waits for it."""
        with self._changed:
            completed, self._completed = self._completed, set()
        for batch in self.running:
            if batch.slot in completed:
                batch.done = True
        return self.running[0] if self.running and self.running[0].done else None

    def scores(self, batch: Batch) -> list[float]:
        """Take the finished batch's scores and free its slot.

        NaN for a frame without pixels, and for those of a model that failed on them.
        """
        self.running.popleft()
        self.held -= len(batch.entries)
        if batch.slot is None:
            return [math.nan] * len(batch.entries)
        try:
            heads = [n for n, count in enumerate(batch.counts) if count]
            ids = (
                prepared.origin.id for _, prepared in batch.entries if prepared.pixels is not None
            )
            parts = [
                self._scores_of(batch.slot, head, list(islice(ids, batch.counts[head])))
                for head in heads
            ]
        finally:
            self.free.append(batch.slot)
        values = chain.from_iterable(parts)
        return [next(values) if p.pixels is not None else math.nan for _, p in batch.entries]

    def _scores_of(self, slot: int, head: int, frames: Sequence[FrameId]) -> list[float]:
        try:
            return [float(score) for score in self._scorer.result(slot, head=head)]
        except InferenceError as exc:
            digest = self._heads.digests[head]
            _log.error(
                "inference failed",
                **frames[0]._asdict(),
                frames=len(frames),
                model=digest[:12],
                why=str(exc),
            )
            return [math.nan] * len(frames)

    def _on_done(self, slot: int) -> None:
        with self._changed:
            self._completed.add(slot)
            self._changed.notify()
        os.eventfd_write(self._wake, 1)


class HeatMaps:
    """Computes the heat maps of pinned frames, one at a time, beside the scoring.

    Parameters
    ----------
    models : mapping of camera name to Model
        Of one `map_network`.
    compute : Compute
    wake : int
        Event descriptor to write to when a map is there.
    suspects : Suspects
        Told which frame runs.
    """

    def __init__(
        self, models: Mapping[str, Model], compute: Compute, wake: int, suspects: Suspects
    ) -> None:
        self._wake = wake
        self._suspects = suspects
        self._heads = Heads(models)
        single = replace(compute, max_batch=1, slots=1, streams=1)
        self._mapper: Mapper = open_mapper(distinct(models), single, on_done=self._on_done)
        self._waiting: deque[tuple[Entry, Judged]] = deque()
        self._done = False
        self.since_ns: int | None = None
        """When the map that is being computed was begun; None while none is."""

    def add(self, entry: Entry, outcome: Judged) -> bool:
        """Queue a frame with pixels whose outcome needs a map; False if too many wait."""
        if len(self._waiting) >= _MAPS_WAITING:
            return False
        self._waiting.append((entry, outcome))
        self._next()
        return True

    def finished(self) -> tuple[Entry, Judged] | None:
        """Return a frame whose map has been computed, or could not be."""
        if not self._done:
            return None
        entry, outcome = self._waiting.popleft()
        prepared = entry[1]
        self._suspects.finish([prepared.origin.id])
        self._done, self.since_ns = False, None
        heat = None
        try:
            heat = self._mapper.result(0, head=self._heads.of(prepared.origin.id.camera))[0]
        except InferenceError as exc:
            _log.error("heat map failed", **prepared.origin.id._asdict(), why=str(exc))
        self._next()
        pin = None if outcome.pin is None else replace(outcome.pin, map=heat)
        return entry, replace(outcome, pin=pin)

    def close(self) -> None:
        """Release the device."""
        self._mapper.close()

    def _next(self) -> None:
        if self.since_ns is not None or not self._waiting:
            return
        prepared = self._waiting[0][0][1]
        if prepared.pixels is not None:
            self._mapper.input(0)[0] = prepared.pixels
        self._suspects.start([prepared.origin.id])
        self.since_ns = monotonic_ns()
        self._mapper.start(0, *self._heads.counts([prepared.origin.id.camera]))

    def _on_done(self, _slot: int) -> None:
        self._done = True
        os.eventfd_write(self._wake, 1)
