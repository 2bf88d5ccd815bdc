"""Read one camera in a thread of its own: open, prime, wait for the line, read, open again."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Condition, Event, Thread
from typing import Final, NamedTuple

import structlog

from streamline.clock import monotonic_ns, thread_ns, wall_ns
from streamline.config import Camera, RtspSource, SizeChange, UsbSource
from streamline.errors import InputError, SourceError, SourceLostError
from streamline.redact import redact_url
from streamline.run.control import Control, Phase
from streamline.source import (
    Backoff,
    ExpectedSize,
    Reading,
    Source,
    StampWatch,
    open_source,
)

__all__ = ["CameraState", "Capture", "Mailbox", "all_hang"]

_log = structlog.get_logger("streamline.source")

_POLL_S: Final = 0.005
_HANG_MARGIN_S: Final = 5.0

_OPEN_S: Final = 10.0
"""How long a camera whose source has no time-out may take until its pictures have their size."""

_SUSTAINED_NS: Final = 5_000_000_000
"""How long frames must come until a camera is told to be back."""


class CameraState(NamedTuple):
    """How a camera is, why, and since when."""

    state: str
    """One of `catalogue.CAMERA_STATES`."""

    reason: str | None
    """One of `catalogue.CAMERA_REASONS` if the camera is down or unusable, or if it ended before
    its end."""

    since_ns: int
    """Ns since the epoch."""


class Mailbox:
    """Hands readings from the capturing thread to the one that accounts for them.

    It holds next to nothing: the queue with a policy is the link's.  A full mailbox makes the
    reader wait, which is what `block` means for a file and does not happen to a live source,
    since its taker never leaves a reading lying.

    Parameters
    ----------
    capacity : int
        Readings that it holds at most.
    batch : int
        So many are handed over together: a reader that nobody waits for need not wake the other
        thread, nor be woken by it, for every one.  Fewer can be taken all the same.
    """

    def __init__(self, capacity: int = 2, *, batch: int = 1) -> None:
        self._capacity = capacity
        self._batch = batch
        self._readings: deque[Reading] = deque()
        self._changed = Condition()
        self._closed = False
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        """Readable when there is something to take."""

    def put(self, reading: Reading) -> bool:
        """Wait for room and leave a reading; False if the mailbox is closed."""
        with self._changed:
            while len(self._readings) >= self._capacity and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self._readings.append(reading)
            enough = len(self._readings) >= self._batch
        if enough:
            os.eventfd_write(self.descriptor, 1)
        return True

    def take(self) -> Reading | None:
        """Return the oldest reading, None if there is none."""
        with self._changed:
            if not self._readings:
                return None
            reading = self._readings.popleft()
            if len(self._readings) <= self._capacity - self._batch:
                self._changed.notify()
            return reading

    @property
    def empty(self) -> bool:
        """Whether there is nothing to take."""
        return not self._readings

    def hush(self) -> None:
        """Make the descriptor unreadable until something new is put."""
        try:
            os.eventfd_read(self.descriptor)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Let a waiting reader go; what is in the mailbox can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def destroy(self) -> None:
        """Give the descriptor back."""
        os.close(self.descriptor)


class Capture(Thread):
    """Delivers a camera's readings until it ends or the line drains.

    A camera that is gone is tried again, with back-off, for as long as the line runs, and so is a
    file that loops, or that was there when the line started and can't be opened anew; one that is
    played once and can't be read any further has ended.  A camera that sends pictures of another
    size than expected is not taken for open.  Frames that it delivers before the line is ready are
    read and forgotten, so that the first one that counts is fresh.

    Parameters
    ----------
    camera : Camera
    control : Control
    mailbox : Mailbox
        Where readings go.
    delay_s : float
        How long after the line's start a file begins; no camera waits for anybody.
    """

    def __init__(
        self, camera: Camera, control: Control, mailbox: Mailbox, *, delay_s: float = 0.0
    ) -> None:
        super().__init__(name=f"capture-{camera.name}", daemon=True)
        self._camera = camera
        self._delay_s = delay_s
        self._control = control
        self._mailbox = mailbox
        source = camera.source
        self._is_file = not isinstance(source, RtspSource | UsbSource)
        self._is_endless = isinstance(source, RtspSource | UsbSource) or source.loop
        self._backoff = Backoff()
        self._source: Source | None = None
        self._calling_ns: int | None = None
        self._stopping = Event()
        self._stamps = StampWatch()
        self._troubles = _Troubles(camera.name)
        self.size = ExpectedSize(
            camera.size, roi=camera.roi, adopts=camera.on_size_change is SizeChange.ACCEPT
        )
        self.state = CameraState("starting", None, wall_ns())
        self.reconnects = 0
        self.decode_ns = 0
        """Processor time that reading and decoding have taken, ns."""

        self.time_jumps = 0
        """How often the camera's own time stamps jumped."""

        self.tried = Event()
        """Set once the camera has been primed or has failed for the first time."""

        self.finished = Event()
        self.refusal: InputError | None = None
        """Set if no line can start with what the pipeline file names."""

    @property
    def hangs(self) -> bool:
        """Whether a call into the camera's driver has lasted longer than any time-out allows."""
        if self._calling_ns is None or not isinstance(self._camera.source, RtspSource):
            return False
        source = self._camera.source
        # Opening takes two steps, each with the time-out; the name look-up has none.
        limit_s = 2 * source.open_timeout_s + source.read_timeout_s + _HANG_MARGIN_S
        return monotonic_ns() - self._calling_ns > limit_s * 1e9

    @property
    def shown(self) -> CameraState:
        """The state as others should see it: a camera whose driver hangs delivers nothing."""
        began_ns = self._calling_ns
        if not self.hangs or began_ns is None or self.state.state == "down":
            return self.state
        return CameraState("down", "stalled", wall_ns() - (monotonic_ns() - began_ns))

    def skip(self, reason: str | None) -> None:
        """Read nothing, in place of `start`: the camera has ended in an earlier life."""
        self._enter("ended", reason)
        self.tried.set()
        self.finished.set()

    def stop(self) -> None:
        """Ask the thread to end; it does so with the next frame or the read time-out."""
        self._stopping.set()
        source = self._source
        if source is not None:
            source.interrupt()
        self._mailbox.close()

    def run(self) -> None:
        """Deliver until there is no more."""
        try:
            while not self._stopping.is_set() and self._session():
                pass
        finally:
            self.tried.set()
            self.finished.set()
            os.eventfd_write(self._mailbox.descriptor, 1)

    def _session(self) -> bool:
        """Open once and read until that ends; return whether to try again."""
        try:
            with self._opened() as source:
                first = None if self._is_file else self._first(source)
                self._reached()
                return self._read_all(source, self._await_line(source, first))
        except SourceError as exc:
            return self._lost(exc)
        except Exception as exc:  # noqa: BLE001 - nothing a library raises ends a camera for good
            what = redact_url(f"{type(exc).__name__}: {exc}")
            msg = f"{self._camera.source.label}: {what}"
            return self._lost(SourceError(msg, reason="error"))

    @contextmanager
    def _opened(self) -> Iterator[Source]:
        self._calling_ns = monotonic_ns()
        try:
            source = open_source(self._camera.source)
        finally:
            self._calling_ns = None
        self._source = source
        try:
            yield source
        finally:
            self._source = None
            source.close()

    def _first(self, source: Source) -> Reading | None:
        """Read until a camera gives a picture of the expected size; None if it is to stop."""
        deadline_ns = monotonic_ns() + round(_open_timeout_s(self._camera) * 1e9)
        while (reading := self._read(source)) is not None:
            what = self.size.wrong(reading.picture)
            if what is None:
                return reading
            if monotonic_ns() > deadline_ns:
                msg = f"{self._camera.source.label}: {what}"
                raise SourceError(msg, reason="shape")
        return None

    def _read(self, source: Source) -> Reading | None:
        """Read a frame; None at a file's end, or if the thread is to stop.

        Raises
        ------
        SourceError
            If a camera ended.
        """
        self._calling_ns, began_ns = monotonic_ns(), thread_ns()
        try:
            reading = source.read()
        finally:
            self._calling_ns = None
            self.decode_ns += thread_ns() - began_ns
        if self._stopping.is_set():
            return None
        if reading is None and not self._is_file:
            msg = f"{self._camera.source.label}: the stream ended"
            raise SourceLostError(msg, reason="ended")
        return reading

    def _reached(self) -> None:
        if self.state.state == "down":
            self.reconnects += 1
        self._stamps = StampWatch()
        self._enter("ok")
        self.tried.set()

    def _await_line(self, source: Source, first: Reading | None) -> Reading | None:
        """Wait until the line runs; return the frame to begin with, None for the next one."""
        while self._control.phase < Phase.RUNNING and not self._stopping.is_set():
            if self._is_file:
                self._stopping.wait(_POLL_S)
            else:
                first = self._read(source)
        if self._is_file:
            self._stopping.wait(self._delay_s)
        return first

    def _read_all(self, source: Source, first: Reading | None) -> bool:
        reading = first or self._read(source)
        while reading is not None and not self._stopping.is_set():
            if not self._mailbox.put(self._looked_at(reading)):
                return False
            reading = self._read(source)
        if not self._stopping.is_set():
            self._enter("ended")
        return False

    def _looked_at(self, reading: Reading) -> Reading:
        """Mark a reading that can't be judged, and show in the camera's state how it is."""
        if not self._is_file:
            self._watch_stamps(reading)
        what = self.size.wrong(reading.picture)
        if what is None:
            self._backoff.delivered()
            self._troubles.well()
            if self.state.state == "unusable":
                self._enter("ok")
            return reading
        msg = f"{self._camera.source.label}: {what}"
        if self._camera.on_size_change is SizeChange.REOPEN:
            raise SourceLostError(msg, reason="shape")
        self._troubles.tell("camera's pictures can't be judged", "shape", msg)
        if self.state.state != "unusable":
            self._enter("unusable", "shape")
        return replace(reading, misshapen=True)

    def _watch_stamps(self, reading: Reading) -> None:
        jump_s = self._stamps.jump_s(reading)
        if jump_s is None:
            return
        if not self.time_jumps:
            _log.warning(
                "camera's own time jumped; told once, counted always",
                camera=self._camera.name,
                by_s=round(jump_s, 3),
            )
        self.time_jumps += 1

    def _lost(self, error: SourceError) -> bool:
        """Note a failure; wait if the camera is to be tried again, and return whether it is."""
        self._calling_ns = None
        if self._stopping.is_set():
            return False
        if self._is_refused(error):
            self.refusal = InputError(str(error))
            return False
        if not self._may_try_again():
            _log.error("source has failed", camera=self._camera.name, why=str(error))
            self._enter("ended", error.reason)
            return False
        delay_s = self._backoff.failed()
        self._troubles.tell("camera is down, trying again", error.reason, str(error))
        if (self.state.state, self.state.reason) != ("down", error.reason):
            self._enter("down", error.reason)
        self.tried.set()
        self._stopping.wait(delay_s)
        return not self._stopping.is_set()

    def _is_refused(self, error: SourceError) -> bool:
        """Whether a line must not start: what the pipeline file names is no picture at all."""
        starts = self._control.phase < Phase.RUNNING
        return self._is_file and starts and error.reason in {"missing", "format"}

    def _may_try_again(self) -> bool:
        """Whether trying again is no repetition: a file played once would begin from its start."""
        return self._is_endless or self.state.state in {"starting", "down"}

    def _enter(self, state: str, reason: str | None = None) -> None:
        self.state = CameraState(state, reason, wall_ns())


class _Troubles:
    """Tells in the log what is wrong with a camera: each reason once, until it was well again.

    A camera that comes and goes, or sends some good pictures in between, would flood the log.
    """

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._told: set[str] = set()
        self._well_since_ns: int | None = None

    def tell(self, what: str, reason: str, why: str) -> None:
        """Log a trouble unless it has been told."""
        self._well_since_ns = None
        if reason in self._told:
            return
        self._told.add(reason)
        _log.warning(what, camera=self._camera, reason=reason, why=why)

    def well(self) -> None:
        """Note a good frame; log that all is well again once frames have come for a while."""
        if not self._told:
            return
        now_ns = monotonic_ns()
        if self._well_since_ns is None:
            self._well_since_ns = now_ns
        elif now_ns - self._well_since_ns >= _SUSTAINED_NS:
            self._told.clear()
            self._well_since_ns = None
            _log.info("camera is back", camera=self._camera)


def _open_timeout_s(camera: Camera) -> float:
    source = camera.source
    return source.open_timeout_s if isinstance(source, RtspSource) else _OPEN_S


def all_hang(captures: Iterable[Capture]) -> bool:
    """Whether drivers hold every reading thread of a process.

    Only the end of the process frees such a thread, and it takes the cameras that are well along.
    """
    reading = [one for one in captures if not one.finished.is_set()]
    return bool(reading) and all(one.hangs for one in reading)
