"""The infer stage: prepared frames of all cameras in, scores out, in micro-batches."""

import math
import os
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Final

import structlog

from streamline.clock import monotonic_ns
from streamline.config import QueuePolicy
from streamline.errors import ConfigError, DeviceLostError, WireError
from streamline.infer import grouped, map_network, score_network, threshold_doubt
from streamline.infer.configured import compute_of
from streamline.messages import Fault, Judged, Prepared, Scored
from streamline.metrics.catalogue import BATCH_BUCKETS
from streamline.model import Model
from streamline.run.accounting.account import OPENED, StageAccount
from streamline.run.accounting.suspects import Suspects
from streamline.run.control import Phase
from streamline.run.placement import InferShare
from streamline.run.stages.intake import Intake
from streamline.run.stages.lanes import Entry, HeatMaps, Lane
from streamline.run.stages.peers import Peers
from streamline.run.stages.stage import TICK_MS, Site, Stage
from streamline.transport.link import Delivery, Inlet, Outlet
from streamline.transport.shelf import Shelves
from streamline.transport.sockets import READABLE
from streamline.transport.wire import (
    PLAIN_OUTCOMES,
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
"""A batch or a map that takes longer will not come back."""


class InferStage(Stage):
    """Scores the frames of all cameras, or of those that have come to this device.

    Parameters
    ----------
    site : Site
    share : InferShare
        Which of the infer stages this is.
    models : mapping of camera name to Model
        Of its cameras. Those whose models share a network share its batches; each model adds a
        head.
    """

    def __init__(self, site: Site, share: InferShare, models: Mapping[str, Model]) -> None:
        super().__init__(site, "infer")
        self._share = share
        self._models = models
        """Until they are opened."""

        self._digests = {name: model.digest[:12] for name, model in models.items()}
        self._account = StageAccount(site.ledger, "infer", models)
        self._sizes = site.ledger.histogram("streamline_batch_size", BATCH_BUCKETS)
        self._opened = site.ledger.table(OPENED, 1, stage="infer")
        self._intake = Intake("infer", frozenset(models))
        shelves = Shelves({name: site.runtime.shelf(name) for name in models})
        self._read = partial(decode_prepared, shelves=shelves)
        self._mapless = {
            name: site.ledger.counter("streamline_maps_skipped_total", camera=name)
            for name in models
        }
        self._suspects = Suspects(site.ledger, "infer", list(site.pipeline.cameras))
        self._misfits: set[str] = set()
        """Cameras whose frames have come in another size than their model's."""

        self._wake: int
        self._lanes: list[Lane] = []
        self._lane_of: dict[str, Lane] = {}
        self._maps: list[HeatMaps] = []
        self._maps_of: dict[str, HeatMaps] = {}
        cameras = site.pipeline.cameras
        # One live camera is enough: the others then wait at their sources, and lose nothing.
        self._lossless = all(cameras[name].queue.policy is QueuePolicy.BLOCK for name in models)
        wait_ms = site.pipeline.infer.batch.wait_ms
        self._adaptive = wait_ms == "auto" and not self._lossless
        self._wait_ns = _PATIENCE_NS if wait_ms == "auto" else round(wait_ms * 1e6)
        self._max = site.pipeline.infer.batch.max
        # Each of several stages judges its cameras' part of that rate.
        most = site.pipeline.infer.max_fps
        self._max_fps = None if most is None else most * len(models) / len(cameras)
        self._not_before_ns = 0
        senders = [f"preprocess-{name}" for name in models]
        self._senders = Peers(site, "prepared", stage=share.name, peers=senders)
        self._receiver = Peers(site, "scores", stage=share.name, peers=["alert"])
        self._refused = {link: site.refusals(link) for link in ("prepared", "scores")}
        self._inlet: Inlet
        self._outlet: Outlet[Entry]

    def work(self) -> None:
        """Run until the line finishes."""
        with ExitStack() as stack:
            self._open(stack)
            self._suspects.recover()
            own = (self._outlet.socket, self._wake)
            everything, all_but_frames = self.poller(self._inlet.socket, *own), self.poller(*own)
            while self.phase < Phase.FINISHING:
                full = self._lossless and self._room() <= 0
                poller = all_but_frames if full else everything
                events = poller.poll(self._sleep_ms())
                if (self._wake, READABLE) in events:
                    self._hush()
                self._emit()
                self._settle(spoken=(self._outlet.socket, READABLE) in events)
                self._gather()
                self._start()
                if self.chores_are_due():
                    self._look_round()
                # Frames that can't be taken are left to come in one go.
                if full:
                    self._inlet.tell()
                else:
                    self._inlet.exchange()

    def _look_round(self) -> None:
        self._inlet.exchange()
        self._beat_if_working()
        self._senders.note(self._inlet.peers)
        self._receiver.note(lambda: {"alert": self._outlet.state})

    def _open(self, stack: ExitStack) -> None:
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        stack.callback(os.close, self._wake)
        context = self.site.context
        # Senders find it, and knock, while the models are opened.
        prepared = self.site.prepared_address(self._share)
        door, lock = self.site.keyring.door("prepared"), self.site.keyring.lock("scores")
        self._inlet = Inlet(
            context,
            prepared,
            window=self._window(),
            door=door,
            refusals=self._refused["prepared"],
        )
        stack.callback(self._inlet.close)
        try:
            self._open_models(stack)
        except ConfigError as exc:
            pipeline = self.site.pipeline
            key = "infer.devices" if pipeline.infer.devices else "infer.device"
            msg = f"{pipeline.where(key)}: {exc}"
            if self._opened[0]:
                # A predecessor had it: what became of it since may pass.
                raise DeviceLostError(msg) from exc
            raise ConfigError(msg) from exc
        self._opened[0] = 1.0
        slots = sum(lane.slots for lane in self._lanes)
        self._outlet = Outlet(
            context,
            self.site.address("scores"),
            name=self._share.name,
            depth=self._max * (slots + 1),
            evict=False,
            lock=lock,
            refusals=self._refused["scores"],
        )
        stack.callback(self._outlet.close)

    def _open_models(self, stack: ExitStack) -> None:
        # What the graphs hold of the models is all that is needed from here on.
        models, self._models = self._models, {}
        pipeline = self.site.pipeline
        alone = len(models) == 1 and not self._lossless
        compute = compute_of(pipeline.infer, self._share.device, alone=alone)
        for group in grouped(models, score_network).values():
            lane = Lane(group, compute, self._wake)
            stack.callback(lane.close)
            self._lanes.append(lane)
            self._lane_of.update(dict.fromkeys(group, lane))
        if pipeline.record.evidence is not None:
            for group in grouped(models, map_network).values():
                maps = HeatMaps(group, compute, self._wake, self._suspects)
                stack.callback(maps.close)
                self._maps.append(maps)
                self._maps_of.update(dict.fromkeys(group, maps))
        for name, model in models.items():
            _log.debug("model loaded", camera=name, model=model.digest[:12])
            if doubt := threshold_doubt(model, compute):
                _log.warning(doubt, camera=name, model=model.digest[:12])

    def _window(self) -> int:
        """Frames that a camera may have sent ahead.

        A live camera's newest frame must be able to overtake its older ones, and it can do so
        only in the queue at the sender: one frame here, to be taken at once.  A file's frames
        only have to be there when a batch is filled.
        """
        return 2 * self._max if self._lossless else 1

    def _beat_if_working(self) -> None:
        """Beat, unless the device has sat on a batch or a map for far too long."""
        oldest = [lane.running[0].started_ns for lane in self._lanes if lane.running]
        oldest += [maps.since_ns for maps in self._maps if maps.since_ns is not None]
        if not oldest or monotonic_ns() - min(oldest) < _HANG_NS:
            self.beat()

    def _hush(self) -> None:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return

    def _emit(self) -> None:
        """Hand on the scores of batches that have completed, and maps to their frames."""
        for lane in self._lanes:
            while (batch := lane.finished()) is not None:
                self._account.work.observe((monotonic_ns() - batch.started_ns) / 1e9)
                self._suspects.finish(prepared.origin.id for _, prepared in batch.entries)
                for entry, score in zip(batch.entries, lane.scores(batch), strict=True):
                    self._outlet.offer(encode_scored(self._scored(entry[1], score)), entry)
        for maps in self._maps:
            while (mapped := maps.finished()) is not None:
                (delivery, prepared), outcome = mapped
                if outcome.pin is None or outcome.pin.map is None:
                    self._mapless[prepared.origin.id.camera].add()
                self._inlet.answer(delivery, encode_outcome(outcome))

    def _settle(self, *, spoken: bool) -> None:
        for (delivery, prepared), outcome in self._outlet.exchange(spoken=spoken):
            if outcome is None:
                continue  # This link never evicts.
            camera = prepared.origin.id.camera
            self._account.left[camera].add()
            maps = self._maps_of.get(camera)
            if outcome in PLAIN_OUTCOMES or maps is None or prepared.pixels is None:
                self._inlet.answer(delivery, outcome)
                continue
            judged = _judged(outcome)
            if judged is not None:
                if maps.add((delivery, prepared), judged):
                    continue
                self._mapless[camera].add()
            self._inlet.answer(delivery, outcome)
        if self._outlet.welcomed and not self.ready.is_set():
            self._inlet.admit()
            self.connected.set()
            self.ready.set()

    def _gather(self) -> None:
        """Take as many frames as the next batch of every model has room for."""
        room = self._room()
        if room > 0:
            for delivery in self._inlet.take(room):
                self._take(delivery)
        self._account.depth.set(sum(len(lane.gathered) for lane in self._lanes))

    def _take(self, delivery: Delivery) -> None:
        prepared = self._intake.read(self._inlet, delivery, self._read)
        if prepared is None:
            return
        camera = prepared.origin.id.camera
        self._account.entered[camera].add()
        self._lane_of[camera].gather((delivery, self._sound(prepared)))

    def _sound(self, prepared: Prepared) -> Prepared:
        """Set a frame aside that this stage has died with too often, or has no model for."""
        frame = prepared.origin.id
        if self._suspects.is_poison(frame):
            _log.error("frame set aside: died with it twice", **frame._asdict())
            return Prepared(origin=prepared.origin, pixels=None, fault=Fault.POISON)
        size = self._lane_of[frame.camera].size
        if prepared.pixels is None or prepared.pixels.shape[:2] == size:
            return prepared
        if frame.camera not in self._misfits:
            self._misfits.add(frame.camera)
            theirs, ours = prepared.pixels.shape[:2], size
            _log.error("prepared for another model", camera=frame.camera, size=theirs, ours=ours)
        return Prepared(origin=prepared.origin, pixels=None, fault=Fault.OTHER_MODEL)

    def _scored(self, prepared: Prepared, score: float) -> Scored:
        origin, fault = prepared.origin, prepared.fault
        if fault is None and not math.isfinite(score):
            fault = Fault.MODEL
        if fault is not None:
            return Scored(origin=origin, score=math.nan, fault=fault)
        return Scored(origin=origin, score=score, model=self._digests[origin.id.camera])

    def _could_start(self) -> bool:
        free = any(lane.free for lane in self._lanes)
        return free and monotonic_ns() >= self._not_before_ns

    def _room(self) -> int:
        """How many frames may be taken now."""
        if not self._lossless and not self._could_start():
            return 0  # What waits at the cameras can still be replaced by something fresher.
        limit = 1 if self._suspects.careful else self._max
        room = limit - max(len(lane.gathered) for lane in self._lanes)
        # What completes must find room on the way out, or the device would be waited for.
        return min(room, self._outlet.space - sum(lane.held for lane in self._lanes))

    def _start(self) -> None:
        now_ns = monotonic_ns()
        for lane in self._lanes:
            if not (lane.gathered and lane.free and self._due(lane, now_ns)):
                continue
            count = lane.share if self._adaptive else len(lane.gathered)
            for delivery, prepared in lane.gathered[:count]:
                self._account.waited(self.site.queued_ns(delivery))
                self._suspects.start([prepared.origin.id])
            self._sizes.observe(count)
            lane.start(count)
            if self._max_fps is not None:
                pause_ns = round(count * 1e9 / self._max_fps)
                self._not_before_ns = max(now_ns, self._not_before_ns) + pause_ns

    def _due(self, lane: Lane, now_ns: int) -> bool:
        """Whether the gathered frames should run now rather than wait for more."""
        if now_ns < self._not_before_ns:
            return False
        if self._suspects.careful:
            return not any(other.running for other in self._lanes)
        if len(lane.gathered) >= self._max or now_ns - lane.since_ns >= self._wait_ns:
            return True
        # There is a slot more than the device works on side by side: a batch gathers there only
        # while all of it is busy, since frames in one batch wait for each other.
        busy = sum(len(other.running) for other in self._lanes)
        return self._adaptive and busy < lane.streams

    def _sleep_ms(self) -> int:
        """How long nothing but a message or a completion can matter."""
        if self._inlet.waiting and self._room() > 0:
            return 0
        now_ns = monotonic_ns()
        lanes = [lane for lane in self._lanes if lane.gathered and lane.free]
        due_ns = [lane.since_ns + self._wait_ns for lane in lanes]
        if self._inlet.waiting and self._not_before_ns > now_ns:
            due_ns.append(self._not_before_ns)
        if not due_ns:
            return TICK_MS
        rest_ns = max(min(due_ns), self._not_before_ns) - now_ns
        return min(TICK_MS, max(1, math.ceil(rest_ns / 1e6)))


def _judged(outcome: bytes) -> Judged | None:
    """Read an outcome that asks for a map; None for any other, which its source reads."""
    try:
        decoded = decode_outcome(outcome)
    except WireError:
        return None
    return decoded if isinstance(decoded, Judged) else None
