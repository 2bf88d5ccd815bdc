"""Keeps the frames that alerts rest on, without ever holding up the line."""

import contextlib
import hashlib
import json
import os
import queue
import re
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import av
import cv2
import structlog

from streamline.colour import to_rgb
from streamline.evidence.encode import encode_ffv1, encode_png
from streamline.evidence.overlay import overlay
from streamline.evidence.rate import TokenBucket
from streamline.messages import Frame, Picture, Pin, PixelFormat

__all__ = ["EvidenceWriter"]

Roi = tuple[int, int, int, int]

_PARTIAL: Final = ".partial"
# A pin comes from another process, perhaps another host: its id must not leave the folder.
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+-]{0,127}")

_log = structlog.get_logger(__name__)


class _Job(NamedTuple):
    frame: Frame
    pin: Pin
    roi: Roi | None


class EvidenceWriter:
    """Stores pinned frames, one folder an alert, from a thread of its own.

    ``FOLDER/CAMERA/ALERT_ID/`` holds ``frame.png`` (to look at; of RGB and grey frames also the
    exact pixels), ``frame.mkv`` (the exact planes of a YUV frame), ``overlay.png`` and
    ``alert.json`` (the alert's record, the frame's origin, and each file's SHA-256). It appears
    complete or not at all. What can't be stored is skipped and told to *on_skipped*: the disk
    may fail, the line goes on.

    Parameters
    ----------
    folder : Path
        Made when it is first needed.
    on_skipped : callable
        Called with the camera and the reason for each frame that is not stored: ``rate``,
        ``queue`` (full), ``name`` (the alert's id can't be a folder's name), ``error`` (the
        disk's, say) or ``closed``. Calls come from several threads, but one at a time.
    on_stored : callable
        Called with the camera for each frame that is stored, from the writing thread.
    limit : TokenBucket, optional
        How many frames may be stored; by default 4 at once and 2 a second in the long run.
    depth : int
        How many frames may wait for the disk.
    """

    def __init__(
        self,
        folder: Path,
        *,
        on_skipped: Callable[[str, str], None],
        on_stored: Callable[[str], None],
        limit: TokenBucket | None = None,
        depth: int = 8,
    ) -> None:
        self._folder = folder
        self._on_skipped = on_skipped
        self._on_stored = on_stored
        self._limit = limit or TokenBucket(2.0, burst=4)
        self._jobs: queue.Queue[_Job | None] = queue.Queue(depth)
        self._lock = threading.Lock()
        self._is_failing = False
        self._is_closed = False
        self._tidied: set[Path] = set()
        self._thread = threading.Thread(target=self._work, name="evidence", daemon=True)

    def start(self) -> None:
        """Start the writing thread."""
        self._thread.start()

    def submit(self, frame: Frame, pin: Pin, *, roi: Roi | None = None) -> bool:
        """Take a frame to be stored; never waits for the disk.

        Parameters
        ----------
        frame : Frame
            Kept alive until it is stored.
        pin : Pin
            Why it is kept.
        roi : (x, y, w, h), optional
            The part of the picture that the pin's map covers, px.

        Returns
        -------
        bool
            False if it is skipped; *on_skipped* has been called.
        """
        camera = frame.origin.id.camera
        if not (_SAFE_NAME.fullmatch(pin.alert_id) and _SAFE_NAME.fullmatch(camera)):
            return self._skip(camera, "name")
        if self._is_closed:
            return self._skip(camera, "closed")
        if not self._limit.take():
            return self._skip(camera, "rate")
        try:
            self._jobs.put_nowait(_Job(frame, pin, roi))
        except queue.Full:
            return self._skip(camera, "queue")
        return True

    def close(self, timeout_s: float = 10.0) -> None:
        """Store what waits, for at most *timeout_s*; skip the rest."""
        self._is_closed = True
        with contextlib.suppress(queue.Full):
            self._jobs.put(None, timeout=timeout_s / 2)
        self._thread.join(timeout_s / 2)
        with contextlib.suppress(queue.Empty):
            while True:
                if job := self._jobs.get_nowait():
                    self._skip(job.frame.origin.id.camera, "closed")
        self._jobs.put(None)  # the one above may have been taken out again, or never got in

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _skip(self, camera: str, reason: str) -> bool:
        with self._lock:
            self._on_skipped(camera, reason)
        return False

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._store(job)
            except (OSError, ValueError, cv2.error, av.FFmpegError) as exc:
                self._skip(job.frame.origin.id.camera, "error")
                self._note_failure(exc)
            else:
                self._on_stored(job.frame.origin.id.camera)
                self._is_failing = False

    def _note_failure(self, exc: Exception) -> None:
        if not self._is_failing:  # once an outage, not once a frame
            _log.error("evidence could not be stored", folder=str(self._folder), error=str(exc))
        self._is_failing = True

    def _store(self, job: _Job) -> None:
        camera = self._folder / job.frame.origin.id.camera
        final = camera / job.pin.alert_id
        if final.exists():
            return  # the same alert, told again after a crash
        self._tidy(camera)
        partial = camera / f".{job.pin.alert_id}{_PARTIAL}"
        partial.mkdir(parents=True)
        try:
            _write_files(partial, job)
            partial.rename(final)
            _sync(camera)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _tidy(self, camera: Path) -> None:
        """Remove what a process that died while storing has left; a camera has one writer."""
        if camera not in self._tidied:
            for leftover in camera.glob(f".*{_PARTIAL}"):
                shutil.rmtree(leftover, ignore_errors=True)
            self._tidied.add(camera)


def _write_files(folder: Path, job: _Job) -> None:
    picture, pin = job.frame.picture, job.pin
    files = _frame_files(picture)
    files["overlay.png"] = encode_png(
        overlay(picture, pin.map, score=pin.score, threshold=pin.threshold, roi=job.roi)
    )
    files["alert.json"] = _record(job, files)
    for name, data in files.items():
        with (folder / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    _sync(folder)


def _frame_files(picture: Picture) -> dict[str, bytes]:
    if picture.format is PixelFormat.I420:
        return {"frame.png": encode_png(to_rgb(picture)), "frame.mkv": encode_ffv1(picture)}
    return {"frame.png": encode_png(picture.planes[0])}


def _record(job: _Job, files: Mapping[str, bytes]) -> bytes:
    """Tell what the pictures show, as JSON."""
    origin, picture = job.frame.origin, job.frame.picture
    record = {
        "alert": json.loads(job.pin.record),
        "frame": {
            **origin.id._asdict(),
            "captured_ns": origin.captured_ns,
            "wall_ns": origin.wall_ns,
            "pts_s": origin.pts_s,
        },
        "picture": {
            "format": picture.format,
            "colour": picture.colour if picture.format is PixelFormat.I420 else None,
            "width": picture.width,
            "height": picture.height,
            "roi": job.roi,
        },
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    return json.dumps(record, indent=2).encode() + b"\n"


def _sync(folder: Path) -> None:
    """Make the folder's entries survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
