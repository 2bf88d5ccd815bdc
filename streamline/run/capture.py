"""Read one camera in a thread of its own: open, prime, wait for the line, read, open again."""

import os
from collections import deque
from threading import Condition, Event, Thread
from typing import Final, NamedTuple

import structlog

from streamline.clock import monotonic_ns, wall_ns
from streamline.config import Camera, RtspSource, UsbSource
from streamline.errors import InputError, SourceError, SourceLostError
from streamline.run.control import Control, Phase
from streamline.source import Backoff, Reading, Source, open_source

__all__ = ["CameraState", "Capture", "Mailbox"]

_log = structlog.get_logger("streamline.source")

_POLL_S: Final = 0.02
_HANG_MARGIN_S: Final = 5.0


class CameraState(NamedTuple):
    """How a camera is, why, and since when."""

    state: str
    """One of `catalogue.CAMERA_STATES`."""

    reason: str | None
    """One of `catalogue.CAMERA_REASONS` if the camera is down."""

    since_ns: int
    """Ns since the epoch."""


class Mailbox:
    """Hands readings from the capturing thread to the one that accounts for them.

    It holds next to nothing: the queue with a policy is the link's.  A full mailbox makes the
    reader wait, which is what `block` means for a file and does not happen to a live source,
    since its taker never leaves a reading lying.
    """

    def __init__(self, capacity: int = 2) -> None:
        self._capacity = capacity
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
        os.eventfd_write(self.descriptor, 1)
        return True

    def take(self) -> Reading | None:
        """Return the oldest reading, None if there is none."""
        with self._changed:
            if not self._readings:
                return None
            self._changed.notify()
            return self._readings.popleft()

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

    A camera that is gone is tried again, with back-off, for as long as the line runs; a file
    that can't be read any further has ended.  Frames that a live camera delivers before the
    line is ready are read and forgotten, so that the first one that counts is fresh.
    """

    def __init__(self, camera: Camera, control: Control, mailbox: Mailbox) -> None:
        super().__init__(name=f"capture-{camera.name}", daemon=True)
        self._camera = camera
        self._control = control
        self._mailbox = mailbox
        self._retried = isinstance(camera.source, RtspSource | UsbSource)
        self._backoff = Backoff()
        self._source: Source | None = None
        self._calling_ns: int | None = None
        self._stopping = Event()
        self.state = CameraState("starting", None, wall_ns())
        self.reconnects = 0
        self.tried = Event()
        """Set once the camera has been primed or has failed for the first time."""

        self.finished = Event()
        self.refusal: InputError | None = None
        """Set if what the pipeline file names is no picture at all: no line can run on it."""

    @property
    def hangs(self) -> bool:
        """Whether a call into the camera's driver has lasted longer than any time-out allows."""
        if self._calling_ns is None or not isinstance(self._camera.source, RtspSource):
            return False
        source = self._camera.source
        # Opening takes two steps, each with the time-out; the name look-up has none.
        limit_s = 2 * source.open_timeout_s + source.read_timeout_s + _HANG_MARGIN_S
        return monotonic_ns() - self._calling_ns > limit_s * 1e9

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
        self._calling_ns = monotonic_ns()
        try:
            source = open_source(self._camera.source)
        except SourceError as exc:
            return self._lost(exc)
        finally:
            self._calling_ns = None
        self._source = source
        try:
            self._reached()
            self._await_line(source)
            return self._read_all(source)
        except SourceError as exc:
            return self._lost(exc)
        finally:
            self._source = None
            source.close()

    def _reached(self) -> None:
        if self.state.state == "down":
            self.reconnects += 1
            _log.info("camera is back", camera=self._camera.name)
        self._enter("ok")
        self.tried.set()

    def _await_line(self, source: Source) -> None:
        while self._control.phase < Phase.RUNNING and not self._stopping.is_set():
            if not self._retried:
                self._stopping.wait(_POLL_S)
            elif source.read() is None:
                msg = f"{self._camera.source.label}: ended before the line was ready"
                raise SourceLostError(msg, reason="ended")

    def _read_all(self, source: Source) -> bool:
        while not self._stopping.is_set():
            self._calling_ns = monotonic_ns()
            reading = source.read()
            self._calling_ns = None
            if reading is None:
                break
            self._backoff.delivered()
            if not self._mailbox.put(reading):
                return False
        if self._stopping.is_set():
            return False
        if self._retried:
            msg = f"{self._camera.source.label}: the stream ended"
            raise SourceLostError(msg, reason="ended")
        self._enter("ended")
        return False

    def _lost(self, error: SourceError) -> bool:
        """Note a failure; wait if the camera is to be tried again, and return whether it is."""
        self._calling_ns = None
        if self._stopping.is_set():
            return False
        if not self._retried:
            if self.state.state == "starting" and error.reason in {"missing", "format"}:
                self.refusal = InputError(str(error))
                return False
            _log.error("source has failed", camera=self._camera.name, why=str(error))
            self._enter("ended", error.reason)
            self.tried.set()
            return False
        delay_s = self._backoff.failed()
        if (self.state.state, self.state.reason) != ("down", error.reason):
            _log.warning(
                "camera is down, trying again",
                camera=self._camera.name,
                reason=error.reason,
                why=str(error),
                delay_s=round(delay_s, 1),
            )
            self._enter("down", error.reason)
        self.tried.set()
        self._stopping.wait(delay_s)
        return not self._stopping.is_set()

    def _enter(self, state: str, reason: str | None = None) -> None:
        self.state = CameraState(state, reason, wall_ns())
