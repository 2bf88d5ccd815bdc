"""The source stage: gives every frame its id, keeps it until its outcome is known.

What is in flight is what this stage holds, so `in_flight` is counted and never computed, and a
frame that must become evidence is still here in full size when the verdict comes back: no ring
of recent frames has to be written at camera rate in case one of them is wanted.
"""

from collections import deque
from typing import Final

import numpy as np
import structlog
import zmq

from streamline.clock import monotonic_ns, wall_ns
from streamline.config import Camera, QueuePolicy
from streamline.errors import WireError
from streamline.ledger import Cell, Ledger
from streamline.messages import (
    SCENE_FAULTS,
    Dropped,
    Fault,
    Frame,
    FrameId,
    Judged,
    Origin,
    Outcome,
    Picture,
    PixelFormat,
)
from streamline.metrics.catalogue import CAMERA_REASONS, CAMERA_STATES
from streamline.run.accounting.account import ENDED, StageAccount, Timer
from streamline.run.accounting.fates import decided, drop_line, dropped_of, logged_lately
from streamline.run.accounting.held import HeldFrames
from streamline.run.accounting.logs import LineLog
from streamline.run.accounting.orphans import Orphans
from streamline.run.control import Phase
from streamline.run.placement import plan
from streamline.run.stages.capture import CameraState, Capture, Mailbox, all_hang
from streamline.run.stages.intake import REFUSED
from streamline.run.stages.keeping import Keeping
from streamline.run.stages.peers import Peers
from streamline.run.stages.stage import TICK_MS, Site, Stage
from streamline.run.views import Views
from streamline.source import Reading
from streamline.transport.link import Outlet
from streamline.transport.sockets import READABLE
from streamline.transport.wire import PLAIN_OUTCOMES, decode_outcome

__all__ = ["SourceStage"]

_log = structlog.get_logger("streamline.source")


_SPREAD_S: Final = 0.04
"""Time over which a line's paced files begin, one after another: a frame's at 25 a second."""

_TOGETHER: Final = 4
"""Frames of a file played as fast as it is judged that are passed on together."""

_NEVER_JUDGED: Final = Dropped(stage="source", reason="crashed")


class _CameraAccount:
    """What the line publishes of one camera."""

    def __init__(self, ledger: Ledger, camera: str) -> None:
        self.captured = ledger.counter("streamline_frames_captured_total", camera=camera)
        # For the supervisor, should this process die: whose frames, and which, went with it.
        self.incarnation = ledger.gauge("source_incarnation", camera=camera)
        self.base = ledger.table("source_base", 1, camera=camera)
        self.latest = ledger.table("source_latest", 1, camera=camera)
        self.held = HeldFrames(ledger, camera)
        self.corrupt = ledger.counter("streamline_frames_corrupt_total", camera=camera)
        self.in_flight = ledger.gauge("streamline_frames_in_flight", camera=camera)
        self._ended = ledger.table(ENDED, 1, camera=camera)
        self.last = ledger.gauge("streamline_last_frame_timestamp_seconds", camera=camera)
        self.size = ledger.table("source_size", 2, camera=camera)
        self._reconnects = ledger.counter("streamline_camera_reconnects_total", camera=camera)
        self._time_jumps = ledger.counter("streamline_camera_time_jumps_total", camera=camera)
        self._decoding = ledger.counter("streamline_decode_cpu_seconds_total", camera=camera)
        self.thread = ledger.gauge("capture_thread", camera=camera)
        self._followed = (0, 0, 0)
        self._since = ledger.gauge("streamline_camera_state_since_timestamp_seconds", camera=camera)
        self._state = _each(ledger, "streamline_camera_state", camera, "state", CAMERA_STATES)
        self._reason = _each(
            ledger, "streamline_camera_down_reason", camera, "reason", CAMERA_REASONS
        )
        self._seconds = {
            state: ledger.counter(
                "streamline_camera_state_seconds_total", camera=camera, state=state
            )
            for state in CAMERA_STATES
        }

    def end(self, reason: str | None) -> None:
        """Note that the file has ended, for a successor in a process with other cameras."""
        # 1: at its end; more: the reason why before it.
        self._ended[0] = 1.0 if reason is None else 2.0 + CAMERA_REASONS.index(reason)

    @property
    def has_ended(self) -> bool:
        """Whether the file ended in an earlier life: it is not played again."""
        return self._ended[0] > 0

    @property
    def end_reason(self) -> str | None:
        """Why it ended before its end."""
        code = int(self._ended[0])
        return CAMERA_REASONS[code - 2] if code > 1 else None

    def follow(self, capture: Capture) -> None:
        """Take over what the capturing thread has counted, and the size that it expects."""
        reconnects, jumps, decode_ns = capture.reconnects, capture.time_jumps, capture.decode_ns
        self._reconnects.add(reconnects - self._followed[0])
        self._time_jumps.add(jumps - self._followed[1])
        self._decoding.add((decode_ns - self._followed[2]) / 1e9)
        self._followed = (reconnects, jumps, decode_ns)
        if capture.size.expected is not None:
            self.size.put(0, [float(side) for side in capture.size.expected])

    def show(self, state: CameraState, elapsed_s: float) -> None:
        """Publish the camera's state; *elapsed_s* more seconds were spent in it."""
        for name, cell in self._state.items():
            cell.set(float(name == state.state))
        for name, cell in self._reason.items():
            cell.set(float(name == state.reason))
        self._since.set(state.since_ns / 1e9)
        self._seconds[state.state].add(elapsed_s)


class _Scene:
    """What is wrong with what the camera sees, as verdicts say that come back."""

    def __init__(self) -> None:
        self._state: CameraState | None = None

    def note(self, fault: Fault | None) -> None:
        """Take note of the reason for a verdict; None if it was no unknown one."""
        if fault not in SCENE_FAULTS:
            self._state = None
        elif self._state is None or self._state.reason != fault.value:
            self._state = CameraState("unusable", fault.value, wall_ns())

    def shown(self, state: CameraState) -> CameraState:
        """Return the camera's state, which is no `ok` while its pictures can't be judged."""
        return self._state if self._state is not None and state.state == "ok" else state


class SourceStage(Stage):
    """One camera: captured frames go out, outcomes come back.

    Parameters
    ----------
    site : Site
    camera : Camera
    captures : dict of camera name to Capture
        All that read in this process; this camera's is added.
    """

    def __init__(self, site: Site, camera: Camera, captures: dict[str, Capture]) -> None:
        super().__init__(site, f"source-{camera.name}")
        self._camera = camera
        self._account = StageAccount(site.ledger, "source", [camera.name])
        self._counts = _CameraAccount(site.ledger, camera.name)
        self._mailbox = Mailbox() if camera.live else Mailbox(2 * _TOGETHER, batch=_TOGETHER)
        self._capture = Capture(camera, site.control, self._mailbox, delay_s=self._delay_s())
        self._captures = captures
        captures[camera.name] = self._capture
        self._hung = self._misled = False
        self._incarnation = 0
        self._scene = _Scene()
        self._orphans = Orphans(site.ledger, camera.name)
        self._to_ask: deque[Frame] = deque()
        """For orphans one at a time, so that no queue evicts them."""

        self._asks = False
        self._peers = Peers(site, "frames", stage=self.name, peers=["preprocess"])
        self._seq = 0
        self._ticked_ns = 0
        self._refusals = site.refusals("frames")
        self._outlet: Outlet[Frame]
        self._drops = LineLog(site.ledger, "drops", site.pipeline.record.drops)
        self._keeping = Keeping(site, camera)

    def work(self) -> None:
        """Run until the camera has ended, or the line drains, and nothing is in flight."""
        self._open()
        poller = self.poller(self._outlet.socket, self._mailbox.descriptor)
        try:
            if self._counts.has_ended:
                self._capture.skip(self._counts.end_reason)
            else:
                self._deliver(poller)
            self.finished.set()
            while self.phase < Phase.FINISHING:
                poller.poll(TICK_MS)
                self._outlet.exchange()
                if self.chores_are_due():
                    self.beat()
                    self._tick()
        finally:
            self._close()

    def _deliver(self, poller: zmq.Poller) -> None:
        self._begin()
        self._capture.start()
        self._counts.thread.set(float(self._capture.native_id or 0))
        while not self._drained():
            events = poller.poll(TICK_MS)
            if (self._mailbox.descriptor, READABLE) in events:
                self._mailbox.hush()
            self._forward()
            self._settle_all(spoken=(self._outlet.socket, READABLE) in events)
            if self.chores_are_due():
                self._beat_if_reading()
                self._tick()
        if self._capture.refusal is not None:
            raise self._capture.refusal
        self._tick()  # How it ended is seen before the line may finish.
        if self.phase < Phase.DRAINING:
            self._counts.end(self._capture.state.reason)

    def _delay_s(self) -> float:
        """How long a paced file waits: cameras run free, but files would all go in step."""
        if not self._camera.live:
            return 0.0
        names = list(self.site.pipeline.cameras)
        return _SPREAD_S * names.index(self._camera.name) / len(names)

    def _begin(self) -> None:
        """Start a new incarnation: what the one before held has been counted by now."""
        counts = self._counts
        self._adopt_orphans()
        counts.held.clear()
        counts.base[0] = counts.captured.value
        # Greater than the one before, whatever has been done to the host's clock meanwhile.
        self._incarnation = max(wall_ns() // 1_000_000, int(counts.latest[0]) + 1)
        counts.latest[0] = float(self._incarnation)
        counts.incarnation.set(float(self._incarnation))
        if self._camera.size is None and counts.size[0]:
            self._capture.size.expected = (int(counts.size[0]), int(counts.size[1]))

    def _judges(self) -> list[str]:
        """Workers that judge, if they run on this host."""
        return [one.name for one in plan(self.site.pipeline) if "alert" in one.stages]

    def _judged_elsewhere(self) -> bool:
        """Whether verdicts are given on another host."""
        return not any(self.site.runtime.ledger(name).exists() for name in self._judges())

    def _adopt_orphans(self) -> None:
        """Take over the frames whose fate predecessors did not come to hear of."""
        self._orphans.recover()
        views = Views(self.site.runtime)
        for frame in self._orphans.all():
            # Counted, and its asker died before it was taken off the list.
            if frame.seq in decided(views.by_worker(), frame.camera, frame.incarnation):
                self._orphans.remove(frame)
        views.close()
        for frame in self._orphans.add(self._undecided()):
            self._drop(frame, "crashed")
        picture = Picture(format=PixelFormat.GRAY, planes=(np.zeros((2, 2), np.uint8),))
        origins = [Origin(one, monotonic_ns(), wall_ns(), 0) for one in self._orphans.all()]
        self._to_ask.extend(Frame(origin=o, picture=picture, fault=Fault.LOST) for o in origins)
        self._counts.in_flight.add(len(self._to_ask))

    def _undecided(self) -> list[FrameId]:
        """Predecessor's frames of which nobody on this host knows the fate.

        Where the alert stage runs here, the supervisor has counted them.
        """
        runtime, counts = self.site.runtime, self._counts
        if not self._judged_elsewhere():
            return []
        incarnation = int(counts.latest[0])
        captured = counts.captured.value - counts.base[0]
        name, seqs = self._camera.name, counts.held.left_over(captured)
        held = {FrameId(name, incarnation, seq) for seq in seqs}
        views = Views(runtime)
        known = decided(views.by_worker(), self._camera.name, incarnation)
        self._complete_log(views, held)
        views.close()
        return [frame for frame in held if frame.seq not in known]

    def _complete_log(self, views: Views, held: set[FrameId]) -> None:
        """Log drops that a predecessor had counted, or not heard of, and not come to log."""
        log = self.site.pipeline.record.drops
        if log is None or not held:
            return
        dropped = dropped_of(views.by_worker(), held)
        for frame in sorted(dropped.keys() - logged_lately(log)):
            self._record_drop(frame, dropped[frame])

    def _open(self) -> None:
        queue = self._camera.queue
        if self.starts_anew:
            self._drops.open()
        self._keeping.open()
        self._outlet = Outlet(
            self.site.context,
            self.site.frames_address(self._camera.name),
            name=self.name,
            depth=queue.depth,
            evict=queue.policy is QueuePolicy.DROP_OLDEST,
            lock=self.site.keyring.lock("frames"),
            refusals=self._refusals,
        )

    def _close(self) -> None:
        self._capture.stop()
        self._outlet.close()
        self._keeping.close()
        self._drops.close()
        # A camera that hangs in its driver keeps the mailbox; the process ends all the same.
        if self._capture.is_alive():
            self._capture.join(timeout=0.5)
        if not self._capture.is_alive():
            self._mailbox.destroy()

    def _beat_if_reading(self) -> None:
        """Beat, unless drivers hold all reading threads of this process beyond every time-out."""
        hangs = self._capture.hangs
        if hangs and not self._hung:
            _log.error("camera's driver hangs", camera=self._camera.name)
        self._hung = hangs
        if not all_hang(self._captures.values()):
            self.beat()

    def _drained(self) -> bool:
        phase = self.phase
        if phase >= Phase.DRAINING:
            self._capture.stop()
        if phase is Phase.ABORT:
            self._give_up()
            return True
        ended = self._capture.finished.is_set() or phase >= Phase.DRAINING
        return ended and not self._counts.in_flight.value and self._mailbox.empty

    def _give_up(self) -> None:
        """Count what is in flight as dropped: the time to drain is over.

        Nothing is judged here any more, but the answer for what was may have got lost on its way.
        An alert stage on another host may have judged, or judge yet, whatever was sent: that stays
        in flight, in the ledger, and a successor asks for it.
        """
        views = Views(self.site.runtime)
        known = decided(views.by_worker(), self._camera.name, self._incarnation)
        views.close()
        sent, unsent = self._outlet.abandon()
        open_ = {frame.origin.id for frame in sent} if self._judged_elsewhere() else set()
        for frame_id in (one.origin.id for one in (*sent, *unsent) if one.fault is not Fault.LOST):
            if frame_id.seq not in known:
                if frame_id in open_:
                    continue
                self._drop(frame_id, "shutdown")
            self._counts.held.remove(frame_id.seq)
            self._counts.in_flight.add(-1)
        if self._counts.in_flight.value:
            _log.warning(
                "frames may have been judged on another host, the next start asks for them",
                camera=self._camera.name,
                frames=int(self._counts.in_flight.value),
            )

    def _forward(self) -> None:
        if self._to_ask and not self._asks:
            self._asks = True
            frame = self._to_ask.popleft()
            self._outlet.offer(self.site.parcels.pack(frame), frame)
        if self._asks:
            return
        evicts = self._camera.queue.policy is QueuePolicy.DROP_OLDEST
        while evicts or self._outlet.room:
            reading = self._mailbox.take()
            if reading is None:
                return
            if not self._outlet.room:
                self._settle_all()  # Only what really waits is evicted.
            with Timer(self._account.work):
                frame = self._admit(reading)
                self._outlet.offer(self.site.parcels.pack(frame), frame)
            # Sent at once where there is credit.
            self._outlet.flush()

    def _admit(self, reading: Reading) -> Frame:
        """Give the reading its id and take it into account."""
        name = self._camera.name
        for _ in range(reading.missed):
            missed = self._next_id()
            self._drop(missed, "overrun")
            self._counts.held.remove(missed.seq)
        frame_id = self._next_id()
        origin = Origin(frame_id, reading.captured_ns, reading.wall_ns, 0, reading.pts_s)
        counts = self._counts
        counts.in_flight.add()
        counts.last.set(reading.wall_ns / 1e9)
        self._account.entered[name].add(1 + reading.missed)
        return Frame(origin=origin, picture=reading.picture, fault=self._fault(reading))

    def _next_id(self) -> FrameId:
        """Capture a frame: written down first, then counted."""
        seq, self._seq = self._seq, self._seq + 1
        self._counts.held.add(seq)
        self._counts.captured.add()
        return FrameId(self._camera.name, self._incarnation, seq)

    def _fault(self, reading: Reading) -> Fault | None:
        self._counts.corrupt.add(reading.damaged_unseen)
        if reading.misshapen:
            return Fault.SHAPE
        if reading.corrupt:
            self._counts.corrupt.add()
            return Fault.CORRUPT
        return None

    def _settle_all(self, *, spoken: bool = True) -> None:
        for frame, outcome in self._outlet.exchange(spoken=spoken):
            self._settle(frame, outcome)
        self._account.depth.set(self._outlet.waiting)

    def _settle(self, frame: Frame, answer: bytes | None) -> None:
        """Let a frame go: its fate is known."""
        frame_id = frame.origin.id
        self.site.parcels.discard(frame)
        if frame.fault is Fault.LOST:
            self._resolve(frame_id, answer)
            return
        outcome = self._outcome(answer)
        if outcome is None:
            self._drop(frame_id, "queue_full")
        elif outcome == REFUSED:
            self._drop(frame_id, REFUSED.reason)
        elif isinstance(outcome, Dropped):
            self._record_drop(frame_id, outcome)
        # Only now: should this process die, the drop log is completed from what it still held.
        self._counts.held.remove(frame_id.seq)
        self._counts.in_flight.add(-1)
        if outcome is None:
            return
        self._account.left[frame_id.camera].add()
        if isinstance(outcome, Judged):
            self._scene.note(outcome.fault)
            if outcome.pin is not None:
                self._keeping.keep(frame, outcome.pin)

    def _outcome(self, answer: bytes | None) -> Outcome | None:
        """Read what a frame's receiver says of it; refused if that can't be read."""
        if answer is None:
            return None
        try:
            return PLAIN_OUTCOMES.get(answer) or decode_outcome(answer)
        except WireError as exc:
            if not self._misled:
                self._misled = True
                _log.error("answers can't be read", camera=self._camera.name, why=str(exc))
            return REFUSED

    def _resolve(self, frame_id: FrameId, answer: bytes | None) -> None:
        """Hear what became of a predecessor's frame."""
        self._asks = False
        self._counts.in_flight.add(-1)
        outcome = self._outcome(answer)
        if outcome in (None, _NEVER_JUDGED, REFUSED):
            self._drop(frame_id, "crashed")
        elif isinstance(outcome, Judged) and outcome.pin is not None:
            self._keeping.miss()
        self._orphans.remove(frame_id)

    def _drop(self, frame_id: FrameId, reason: str) -> None:
        self._account.dropped[frame_id.camera, reason].add(frame_id)
        self._record_drop(frame_id, Dropped(stage="source", reason=reason))

    def _record_drop(self, frame_id: FrameId, drop: Dropped) -> None:
        self._drops.write([drop_line(frame_id, drop)])

    def _tick(self) -> None:
        """Publish the camera's state, and its peer's; time counts once the line runs."""
        self._peers.note(lambda: {"preprocess": self._outlet.state})
        now_ns = monotonic_ns()
        running = self.phase >= Phase.RUNNING
        elapsed_s = (now_ns - self._ticked_ns) / 1e9 if running and self._ticked_ns else 0.0
        self._ticked_ns = now_ns
        self._counts.show(self._scene.shown(self._capture.shown), elapsed_s)
        self._counts.follow(self._capture)
        self._keeping.show()
        if self._outlet.welcomed and not self.connected.is_set():
            self.connected.set()
        if self.connected.is_set() and self._capture.tried.is_set() and not self.ready.is_set():
            self.ready.set()


def _each(
    ledger: Ledger, series: str, camera: str, label: str, values: tuple[str, ...]
) -> dict[str, Cell]:
    return {value: ledger.gauge(series, camera=camera, **{label: value}) for value in values}
