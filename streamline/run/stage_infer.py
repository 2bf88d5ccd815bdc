"""The infer stage: prepared frames of all cameras in, scores out, in micro-batches."""

import math
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from typing import Final

import structlog

from streamline.clock import monotonic_ns
from streamline.config import QueuePolicy
from streamline.errors import StreamlineError
from streamline.infer import Compute, Mapper, Scorer, open_mapper, open_scorer
from streamline.messages import Fault, Judged, Prepared, Scored, Verdict
from streamline.metrics.catalogue import BATCH_BUCKETS
from streamline.model import Model
from streamline.run.account import StageAccount
from streamline.run.control import Phase
from streamline.run.stage import TICK_MS, Site, Stage
from streamline.run.suspects import Suspects
from streamline.transport.link import Delivery, Inlet, Outlet
from streamline.transport.wire import (
    decode_outcome,
    decode_prepared,
    encode_outcome,
    encode_scored,
)

__all__ = ["InferStage"]

_log = structlog.get_logger("streamline.infer")

_PATIENCE_NS: Final = 20_000_000
"""How long ``wait_ms: auto`` waits for a full batch where no camera is live: throughput is all
that counts there, and small batches would starve the reader that shares the processor."""

_HANG_NS: Final = 10_000_000_000
"""A batch that takes longer will not come back."""

_PLAIN: Final = frozenset(encode_outcome(Judged(verdict=verdict)) for verdict in Verdict)
"""Outcomes without a pin, which are passed on unread."""

Entry = tuple[Delivery, Prepared]


class _Batch:
    """Frames that went to the device together, in the order they came."""

    __slots__ = ("done", "entries", "slot", "started_ns")

    def __init__(self, entries: list[Entry], slot: int | None) -> None:
        self.entries = entries
        self.slot = slot
        """None if no frame of it has pixels."""

        self.started_ns = monotonic_ns()
        self.done = slot is None


class _Lane:
    """One model on its device: frames gather, run in a free slot, and leave in order."""

    def __init__(self, model: Model, compute: Compute, wake: int) -> None:
        self._wake = wake
        self._lock = Lock()
        self._completed: set[int] = set()
        self.scorer: Scorer = open_scorer(model, compute, on_done=self._on_done)
        self.free = list(range(self.scorer.slots))
        self.gathered: list[Entry] = []
        self.since_ns = 0
        self.running: deque[_Batch] = deque()

    def gather(self, entry: Entry) -> None:
        """Add a frame to the next batch."""
        if not self.gathered:
            self.since_ns = monotonic_ns()
        self.gathered.append(entry)

    def start(self) -> int:
        """Run what has gathered; return how many frames that are."""
        entries, self.gathered = self.gathered, []
        pixels = [p.pixels for _, p in entries if p.pixels is not None]
        slot = self.free.pop() if pixels else None
        # In this list before it is started: it may complete at once.
        self.running.append(_Batch(entries, slot))
        if slot is not None:
            rows = self.scorer.input(slot)
            for i, image in enumerate(pixels):
                rows[i] = image
            self.scorer.start(slot, len(pixels))
        return len(entries)

    def finished(self) -> _Batch | None:
        """Return the oldest batch if it has completed; a younger one waits for it."""
        with self._lock:
            completed, self._completed = self._completed, set()
        for batch in self.running:
            if batch.slot in completed:
                batch.done = True
        return self.running[0] if self.running and self.running[0].done else None

    def scores(self, batch: _Batch) -> list[float]:
        """Take the finished batch's scores and free its slot; NaN for a frame without pixels."""
        self.running.popleft()
        if batch.slot is None:
            return [math.nan] * len(batch.entries)
        try:
            values = iter(self.scorer.result(batch.slot).tolist())
        except StreamlineError as exc:
            _log.error("inference failed", frames=len(batch.entries), why=str(exc))
            values = iter([math.nan] * len(batch.entries))
        finally:
            self.free.append(batch.slot)
        return [next(values) if p.pixels is not None else math.nan for _, p in batch.entries]

    def _on_done(self, slot: int) -> None:
        with self._lock:
            self._completed.add(slot)
        os.eventfd_write(self._wake, 1)


class _Mapper:
    """Computes the heat maps of pinned frames, one at a time, beside the scoring."""

    def __init__(self, model: Model, compute: Compute, wake: int, suspects: Suspects) -> None:
        self._wake = wake
        self._suspects = suspects
        single = replace(compute, max_batch=1, slots=1)
        self._mapper: Mapper = open_mapper(model, single, on_done=self._on_done)
        self._waiting: deque[tuple[Entry, Judged]] = deque()
        self._running = self._done = False

    def add(self, entry: Entry, outcome: Judged) -> None:
        """Queue a frame whose outcome needs a map."""
        self._waiting.append((entry, outcome))
        self._next()

    def finished(self) -> tuple[Delivery, Judged] | None:
        """Return a frame whose map has been computed, or could not be."""
        if not self._done:
            return None
        (delivery, prepared), outcome = self._waiting.popleft()
        self._suspects.finish([prepared.origin.id])
        self._running = self._done = False
        heat = None
        try:
            heat = self._mapper.result(0)[0]
        except StreamlineError as exc:
            _log.error("heat map failed", why=str(exc))
        self._next()
        pin = None if outcome.pin is None else replace(outcome.pin, map=heat)
        return delivery, replace(outcome, pin=pin)

    def close(self) -> None:
        """Release the device."""
        self._mapper.close()

    def _next(self) -> None:
        if self._running or not self._waiting:
            return
        prepared = self._waiting[0][0][1]
        if prepared.pixels is not None:
            self._mapper.input(0)[0] = prepared.pixels
        self._suspects.start([prepared.origin.id])
        self._running = True
        self._mapper.start(0, 1)

    def _on_done(self, _slot: int) -> None:
        self._done = True
        os.eventfd_write(self._wake, 1)


class InferStage(Stage):
    """Scores the frames of all cameras.

    Parameters
    ----------
    site : Site
    models : mapping of camera name to Model
        Cameras that share a model object share its batches.
    """

    def __init__(self, site: Site, models: Mapping[str, Model]) -> None:
        super().__init__(site, "infer")
        self._models = models
        self._account = StageAccount(site.ledger, "infer", models)
        self._sizes = site.ledger.histogram("streamline_batch_size", BATCH_BUCKETS)
        self._suspects = Suspects(site.ledger, list(site.pipeline.cameras))
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lanes: dict[str, _Lane] = {}
        self._mappers: dict[str, _Mapper] = {}
        cameras = site.pipeline.cameras
        self._lossless = any(cameras[name].queue.policy is QueuePolicy.BLOCK for name in models)
        wait_ms = site.pipeline.infer.batch.wait_ms
        self._adaptive = wait_ms == "auto" and not self._lossless
        self._wait_ns = _PATIENCE_NS if wait_ms == "auto" else round(wait_ms * 1e6)
        self._max = site.pipeline.infer.batch.max
        self._not_before_ns = 0
        self._inlet: Inlet
        self._outlet: Outlet[Entry]

    def work(self) -> None:
        """Run until the line finishes."""
        try:
            self._open()
            self._suspects.recover()
            poller = self.poller(self._inlet.socket, self._outlet.socket, self._wake)
            while self.phase < Phase.FINISHING:
                poller.poll(self._sleep_ms())
                self._beat_if_working()
                self._hush()
                self._emit()
                self._settle()
                self._gather()
                self._start()
                self._inlet.flush()
        finally:
            self._close()

    def _open(self) -> None:
        pipeline = self.site.pipeline
        wanted = pipeline.infer
        compute = Compute(
            backend=wanted.backend,
            device=wanted.device,
            precision=wanted.precision,
            max_batch=self._max,
        )
        for name, model in self._models.items():
            if model.digest not in self._lanes:
                self._lanes[model.digest] = _Lane(model, compute, self._wake)
                if pipeline.record.evidence is not None:
                    self._mappers[model.digest] = _Mapper(
                        model, compute, self._wake, self._suspects
                    )
            _log.debug("model loaded", camera=name, model=model.digest[:12])
        slots = sum(lane.scorer.slots for lane in self._lanes.values())
        self._inlet = Inlet(self.site.context, self.site.address("prepared"), window=self._window())
        self._outlet = Outlet(
            self.site.context,
            self.site.address("scores"),
            name="infer",
            depth=self._max * (slots + 1),
            evict=False,
        )

    def _window(self) -> int:
        """Frames that a camera may have sent ahead.

        A live camera's newest frame must be able to overtake its older ones, and it can do so
        only in the queue at the sender: one frame here, to be taken at once.  A file's frames
        only have to be there when a batch is filled.
        """
        return 2 * self._max if self._lossless else 1

    def _close(self) -> None:
        for lane in self._lanes.values():
            lane.scorer.close()
        for mapper in self._mappers.values():
            mapper.close()
        if hasattr(self, "_outlet"):
            self._inlet.close()
            self._outlet.close()
        os.close(self._wake)

    def _beat_if_working(self) -> None:
        """Beat, unless the device has sat on a batch for far too long."""
        oldest = [lane.running[0].started_ns for lane in self._lanes.values() if lane.running]
        if not oldest or monotonic_ns() - min(oldest) < _HANG_NS:
            self.beat()

    def _hush(self) -> None:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return

    def _emit(self) -> None:
        """Hand on the scores of batches that have completed, and maps to their frames."""
        for lane in self._lanes.values():
            while (batch := lane.finished()) is not None:
                self._account.work.observe((monotonic_ns() - batch.started_ns) / 1e9)
                self._suspects.finish(prepared.origin.id for _, prepared in batch.entries)
                for entry, score in zip(batch.entries, lane.scores(batch), strict=True):
                    self._outlet.offer(encode_scored(_scored(entry[1], score)), entry)
        for mapper in self._mappers.values():
            while (mapped := mapper.finished()) is not None:
                delivery, outcome = mapped
                self._inlet.answer(delivery, encode_outcome(outcome))

    def _settle(self) -> None:
        for (delivery, prepared), outcome in self._outlet.exchange():
            if outcome is None:
                continue  # This link never evicts.
            camera = prepared.origin.id.camera
            self._account.left[camera].add()
            mapper = self._mappers.get(self._models[camera].digest)
            if outcome in _PLAIN or mapper is None or prepared.pixels is None:
                self._inlet.answer(delivery, outcome)
                continue
            decoded = decode_outcome(outcome)
            if isinstance(decoded, Judged):
                mapper.add((delivery, prepared), decoded)
            else:
                self._inlet.answer(delivery, outcome)
        if self._outlet.welcomed:
            self._inlet.admit()
            self.connected.set()
            self.ready.set()

    def _gather(self) -> None:
        """Take frames as long as the next batch of every model has room."""
        if not self._lossless and not self._could_start():
            return  # What waits at the cameras can still be replaced by something fresher.
        limit = 1 if self._suspects.careful else self._max
        room = limit - max(len(lane.gathered) for lane in self._lanes.values())
        # What completes must find room on the way out, or the device would be waited for.
        room = min(room, self._outlet_room())
        while room > 0:
            taken = self._inlet.take(room)
            if not taken:
                return
            for delivery in taken:
                prepared = self._sound(decode_prepared(delivery.parts))
                camera = prepared.origin.id.camera
                self._account.entered[camera].add()
                self._lanes[self._models[camera].digest].gather((delivery, prepared))
            room -= len(taken)
        self._account.depth.set(sum(len(lane.gathered) for lane in self._lanes.values()))

    def _sound(self, prepared: Prepared) -> Prepared:
        """Set a frame aside that this stage has died with too often."""
        if not self._suspects.is_poison(prepared.origin.id):
            return prepared
        _log.error("frame set aside: died with it twice", **prepared.origin.id._asdict())
        return Prepared(origin=prepared.origin, pixels=None, fault=Fault.POISON)

    def _could_start(self) -> bool:
        free = any(lane.free for lane in self._lanes.values())
        return free and monotonic_ns() >= self._not_before_ns

    def _outlet_room(self) -> int:
        held = sum(
            len(lane.gathered) + sum(len(batch.entries) for batch in lane.running)
            for lane in self._lanes.values()
        )
        return self._outlet.space - held

    def _start(self) -> None:
        now_ns = monotonic_ns()
        for lane in self._lanes.values():
            if not (lane.gathered and lane.free and self._due(lane, now_ns)):
                continue
            for delivery, _ in lane.gathered:
                self._account.waited(delivery.queued_ns)
            self._sizes.observe(len(lane.gathered))
            self._suspects.start(prepared.origin.id for _, prepared in lane.gathered)
            started = lane.start()
            limit = self.site.pipeline.infer.max_fps
            if limit is not None:
                self._not_before_ns = max(now_ns, self._not_before_ns) + round(
                    started * 1e9 / limit
                )

    def _due(self, lane: _Lane, now_ns: int) -> bool:
        """Whether the gathered frames should run now rather than wait for more."""
        if now_ns < self._not_before_ns:
            return False
        if self._suspects.careful:
            return not any(other.running for other in self._lanes.values())
        if len(lane.gathered) >= self._max or now_ns - lane.since_ns >= self._wait_ns:
            return True
        return self._adaptive and not lane.running

    def _sleep_ms(self) -> int:
        """How long nothing but a message or a completion can matter."""
        waiting = [lane.since_ns for lane in self._lanes.values() if lane.gathered and lane.free]
        if not waiting:
            return TICK_MS
        due_ns = max(min(waiting) + self._wait_ns, self._not_before_ns)
        return min(TICK_MS, max(1, math.ceil((due_ns - monotonic_ns()) / 1e6)))


def _scored(prepared: Prepared, score: float) -> Scored:
    if prepared.fault is not None:
        return Scored(origin=prepared.origin, score=math.nan, fault=prepared.fault)
    if not math.isfinite(score):
        return Scored(origin=prepared.origin, score=math.nan, fault=Fault.MODEL)
    return Scored(origin=prepared.origin, score=score)
