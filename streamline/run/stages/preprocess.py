"""The preprocess stage: full-size frames in, model input out."""

from collections.abc import Container, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import structlog

from streamline.clock import thread_ns
from streamline.config import Camera, QueuePolicy, RtspSource, UsbSource
from streamline.messages import Dropped, Fault, Frame, FrameId, Prepared
from streamline.preprocess import prepare
from streamline.run.accounting.account import StageAccount, Timer
from streamline.run.accounting.fences import SUPERVISOR, Fences
from streamline.run.accounting.suspects import Suspects
from streamline.run.control import Phase
from streamline.run.placement import infer_shares
from streamline.run.room import shelf_places
from streamline.run.stages.intake import Intake
from streamline.run.stages.peers import Peers
from streamline.run.stages.scene import SceneGuard
from streamline.run.stages.stage import TICK_MS, Site, Stage
from streamline.scene import SceneReference
from streamline.transport.link import Delivery, Inlet, Outlet, PeerState
from streamline.transport.shelf import Place, Shelf
from streamline.transport.wire import encode_outcome, encode_prepared

__all__ = ["PreprocessStage"]

_log = structlog.get_logger("streamline.preprocess")

_QUEUE_FULL: Final = encode_outcome(Dropped(stage="preprocess", reason="queue_full"))

_CRASHED: Final = encode_outcome(Dropped(stage="source", reason="crashed"))

_WINDOW: Final = 2
"""Frames that a source may have sent ahead: the queue with a policy is the source's own."""

_WINDOW_OF_FILES: Final = 8
"""The same where no camera is live: enough to be heard of, and answered, several at a time."""


class _Sent(NamedTuple):
    """A frame that was handed on."""

    delivery: Delivery
    frame: FrameId
    place: Place | None
    """Where its pixels lie until its outcome is known; None if it has none."""


class PreprocessStage(Stage):
    """Prepares the frames of some cameras; each camera has a queue of its own to infer.

    Parameters
    ----------
    site : Site
    cameras : sequence of Camera
        One, beside its source; or all of them, in a process of its own.
    sizes : mapping of camera name to (h, w)
        Input size of each camera's model, px.
    scenes : mapping of camera name to SceneReference
        What the cameras saw when all was well, as far as calibrations say.
    """

    def __init__(
        self,
        site: Site,
        cameras: Sequence[Camera],
        sizes: Mapping[str, tuple[int, int]],
        scenes: Mapping[str, SceneReference | None],
    ) -> None:
        super().__init__(site, f"preprocess-{'-'.join(camera.name for camera in cameras)}")
        self._cameras = {camera.name: camera for camera in cameras}
        self._live = any(camera.live for camera in cameras)
        self._sizes = sizes
        self._account = StageAccount(site.ledger, "preprocess", self._cameras)
        self._scaling = {
            name: site.ledger.counter("streamline_scale_cpu_seconds_total", camera=name)
            for name in self._cameras
        }
        self._scenes = {
            camera.name: SceneGuard(site.ledger, camera, scenes[camera.name]) for camera in cameras
        }
        self._suspects = Suspects(site.ledger, self.name, list(self._cameras))
        self._fences = Fences(
            site.runtime.ledger(SUPERVISOR), site.ledger, self.name, self._cameras
        )
        self._intake = Intake("preprocess", self._cameras)
        self._senders = Peers(
            site, "frames", stage="preprocess", peers=[f"source-{name}" for name in self._cameras]
        )
        self._shares = {
            name: share for share in infer_shares(site.pipeline) for name in share.cameras
        }
        self._receivers = {
            name: Peers(
                site, "prepared", stage=f"preprocess-{name}", peers=[self._shares[name].name]
            )
            for name in self._cameras
        }
        self._refused = {link: site.refusals(link) for link in ("frames", "prepared")}
        self._inlet: Inlet
        self._outlets: dict[str, Outlet[_Sent]] = {}
        self._shelves: dict[str, Shelf] = {}
        self._dropped_before: set[FrameId] = set()
        """What a predecessor dropped, and may not have come to say."""

        self._warned: set[str] = set()

    def work(self) -> None:
        """Run until the line finishes."""
        self._open()
        self._suspects.recover()
        sockets = [outlet.socket for outlet in self._outlets.values()]
        poller = self.poller(self._inlet.socket, *sockets)
        try:
            while self.phase < Phase.FINISHING:
                wait_ms = 0 if self._inlet.waiting and self._has_room() else TICK_MS
                speaking = {socket for socket, _ in poller.poll(wait_ms)}
                self._fences.watch()
                while self._has_room() and (taken := self._inlet.take(1)):
                    self._handle(taken[0])
                self._settle_all(speaking)
                self._inlet.exchange()
                if self.chores_are_due():
                    self._look_round()
        finally:
            self._inlet.close()
            for outlet in self._outlets.values():
                outlet.close()

    def _look_round(self) -> None:
        self.beat()
        self._senders.note(self._inlet.peers)
        for name, outlet in self._outlets.items():
            self._receivers[name].note(partial(_state_of, self._shares[name].name, outlet))

    def _open(self) -> None:
        self._dropped_before = {
            FrameId(camera, *one)
            for (camera, _), drops in self._account.dropped.items()
            for one in drops.recent()
        }
        name = next(iter(self._cameras))
        address = self.site.frames_address(name)
        window = _WINDOW if self._live else _WINDOW_OF_FILES
        door = self.site.keyring.door("frames")
        self._inlet = Inlet(
            self.site.context,
            address,
            window=window,
            door=door,
            refusals=self._refused["frames"],
        )
        for camera in self._cameras.values():
            self._shelves[camera.name] = self._shelf(camera)
            self._outlets[camera.name] = Outlet(
                self.site.context,
                self.site.prepared_address(self._shares[camera.name]),
                name=f"preprocess-{camera.name}",
                depth=camera.queue.depth,
                evict=camera.queue.policy is QueuePolicy.DROP_OLDEST,
                lock=self.site.keyring.lock("prepared"),
                refusals=self._refused["prepared"],
            )

    def _shelf(self, camera: Camera) -> Shelf:
        """Make room for the frames of a camera that may be on their way at once."""
        size, pipeline = self._sizes[camera.name], self.site.pipeline
        places = shelf_places(camera, pipeline)
        path = self.site.runtime.shelf(camera.name) if pipeline.links.prepared == "ipc" else None
        try:
            return Shelf(path, places=places, size=size)
        except OSError as exc:
            why = exc.strerror
            _log.warning("pixels travel by message, which is slower", camera=camera.name, why=why)
            return Shelf(None, places=0, size=size)

    def _has_room(self) -> bool:
        """Whether a frame of any camera could be queued without waiting.

        With several cameras on one inlet the next frame may be anybody's, so a full queue that
        blocks holds all of them up: lossless is what was asked for.
        """
        return all(
            outlet.room or self._cameras[name].queue.policy is QueuePolicy.DROP_OLDEST
            for name, outlet in self._outlets.items()
        )

    def _handle(self, delivery: Delivery) -> None:
        self._account.waited(self.site.queued_ns(delivery))
        with Timer(self._account.work):
            frame = self._intake.read(self._inlet, delivery, self.site.parcels.unpack)
            if frame is None:
                return
            if frame.origin.id in self._dropped_before:
                self._inlet.answer(delivery, _QUEUE_FULL)
                return
            name = frame.origin.id.camera
            self._account.entered[name].add()
            prepared, place = self._prepare(frame)
            parts = encode_prepared(prepared, None if place is None else place.spot)
        # Where a predecessor has died it may have been sent on already.
        again = delivery.attempt > 0
        outlet = self._outlets[name]
        outlet.offer(parts, _Sent(delivery, frame.origin.id, place), again=again)
        if self._live:
            outlet.flush()

    def _outcome(self, frame: FrameId, outcome: bytes | None) -> bytes:
        """Count a frame that left or was dropped; return what its sender is to be told."""
        if outcome is None:
            # Nobody waits for a frame whose source died, and it has been counted.
            if not self._fences.excludes(frame):
                self._account.dropped[frame.camera, "queue_full"].add(frame)
            return _QUEUE_FULL
        self._account.left[frame.camera].add()
        # It may have been dropped here while a successor of its source asked for it.
        return _QUEUE_FULL if outcome == _CRASHED and self._has_dropped(frame) else outcome

    def _has_dropped(self, frame: FrameId) -> bool:
        """Whether a frame was dropped here lately."""
        drops = self._account.dropped[frame.camera, "queue_full"]
        return (frame.incarnation, frame.seq) in drops.recent()

    def _prepare(self, frame: Frame) -> tuple[Prepared, Place | None]:
        suspect = self._in_any_life(frame.origin.id)
        fault = frame.fault or self._poison(frame.origin.id, suspect)
        if fault is not None:
            return Prepared(origin=frame.origin, pixels=None, fault=fault), None
        self._suspects.start([suspect])
        prepared = self._scaled(frame)
        self._suspects.finish([suspect])
        return prepared

    def _poison(self, frame: FrameId, suspect: FrameId) -> Fault | None:
        """Set a frame aside that this stage has died with too often."""
        if not self._suspects.is_poison(suspect):
            return None
        _log.error("frame set aside: died with it twice", **frame._asdict())
        if suspect == frame:
            self._suspects.finish([frame])
        return Fault.POISON

    def _in_any_life(self, frame: FrameId) -> FrameId:
        """Name a frame by what is in it: a file that is played anew gives the same ones again."""
        is_camera = isinstance(self._cameras[frame.camera].source, RtspSource | UsbSource)
        return frame if is_camera else FrameId(frame.camera, 0, frame.seq)

    def _scaled(self, frame: Frame) -> tuple[Prepared, Place | None]:
        name, began_ns = frame.origin.id.camera, thread_ns()
        shelf, roi, size = self._shelves[name], self._cameras[name].roi, self._sizes[name]
        place = shelf.take()
        try:
            pixels = prepare(frame.picture, roi=roi, size=size, out=place.pixels)
        except ValueError as exc:
            shelf.give_back(place)
            # The region of interest does not lie in the picture.
            if name not in self._warned:
                self._warned.add(name)
                _log.error("frames can't be judged", camera=name, why=str(exc))
            return Prepared(origin=frame.origin, pixels=None, fault=Fault.SHAPE), None
        finally:
            self._scaling[name].add((thread_ns() - began_ns) / 1e9)
        fault = self._scenes[name].look(frame.origin, pixels)
        if fault is not None:
            shelf.give_back(place)
            return Prepared(origin=frame.origin, pixels=None, fault=fault), None
        return Prepared(origin=frame.origin, pixels=pixels), place

    def _settle_all(self, speaking: Container[object]) -> None:
        """Pass outcomes on, which come over those sockets on which somebody speaks."""
        waiting = 0
        for name, outlet in self._outlets.items():
            settled = outlet.exchange(spoken=outlet.socket in speaking)
            for (delivery, frame, place), outcome in settled:
                if place is not None:
                    self._shelves[name].give_back(place)
                self._inlet.answer(delivery, self._outcome(frame, outcome))
            waiting += outlet.waiting
        self._account.depth.set(waiting)
        if not self.connected.is_set() and all(o.welcomed for o in self._outlets.values()):
            self._inlet.admit()
            self.connected.set()
            self.ready.set()


def _state_of(peer: str, outlet: Outlet[_Sent]) -> dict[str, PeerState]:
    return {peer: outlet.state}
