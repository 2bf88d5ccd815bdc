"""Keeps pinned frames, without ever holding up the line."""

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, NamedTuple, Self

import structlog

from streamline.clock import monotonic_ns
from streamline.colour import to_rgb
from streamline.evidence.encode import encode_ffv1, encode_png
from streamline.evidence.overlay import overlay
from streamline.evidence.store import RECORD, NoRoomError, Store, is_safe_name
from streamline.messages import Frame, Picture, Pin, PinKind, PixelFormat

__all__ = ["EvidenceWriter"]

Roi = tuple[int, int, int, int]

_TOLD_AGAIN_NS: Final = 600_000_000_000
"""How long the same trouble is not logged again."""

_LOOK_ROUND_S: Final = 60.0
"""How long nothing may come until it is seen to what is too old."""

_log = structlog.get_logger(__name__)


class _Job(NamedTuple):
    frame: Frame
    pin: Pin
    roi: Roi | None


class EvidenceWriter:
    """Stores one camera's pinned frames from a thread of its own.

    Each item holds ``frame.png`` (to look at; of RGB and grey frames also the exact pixels),
    ``frame.mkv`` (the exact planes of a YUV frame), ``overlay.png`` and ``alert.json`` (what it
    is, the frame's origin, and each file's SHA-256). What can't be stored is skipped and told to
    *on_skipped*: the disk may fail, the line goes on.

    Parameters
    ----------
    store : Store
        Where it goes; used by the thread alone.
    on_skipped : callable
        Called with each frame that is not stored, and why: ``queue`` (the disk is too
        slow; the least valuable frame that waits has to go), ``name`` (its id can't be a
        folder's name), ``quota`` (all that is stored is worth more), ``disk`` (it fails or is
        full), ``error`` (the frame can't be encoded) or ``closed``. Calls come from several
        threads, but one at a time.
    on_stored : callable
        Called with each frame that is stored, and the SHA-256 of its ``alert.json``, from the
        writing thread.
    depth : int
        How many frames may wait for the disk.
    """

    def __init__(
        self,
        store: Store,
        *,
        on_skipped: Callable[[Pin, str], None],
        on_stored: Callable[[Pin, str], None],
        depth: int = 8,
    ) -> None:
        self._store = store
        self._on_skipped = on_skipped
        self._on_stored = on_stored
        self._depth = depth
        self._jobs: list[_Job] = []
        self._changed = threading.Condition()
        self._is_closed = False
        self._told_ns: dict[str, int] = {}
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
        with self._changed:
            if not is_safe_name(pin.alert_id):
                return self._skip(pin, "name")
            if self._is_closed:
                return self._skip(pin, "closed")
            if len(self._jobs) >= self._depth and not self._gave_way(pin.kind):
                return self._skip(pin, "queue")
            self._jobs.append(_Job(frame, pin, roi))
            self._changed.notify_all()
        return True

    def close(self, timeout_s: float = 10.0) -> None:
        """Store what waits, for at most *timeout_s*; skip the rest."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        with self._changed:
            for job in self._jobs:
                self._skip(job.pin, "closed")
            self._jobs.clear()

    @property
    def used_bytes(self) -> int:
        """What the camera's evidence takes on the disk."""
        return self._store.used_bytes

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

    def _gave_way(self, kind: PinKind) -> bool:
        """Skip the oldest of the least valuable frames that wait, if something better comes."""
        least = min(self._jobs, key=lambda job: job.pin.kind.worth)
        if least.pin.kind.worth >= kind.worth:
            return False
        self._jobs.remove(least)
        self._skip(least.pin, "queue")
        return True

    def _skip(self, pin: Pin, reason: str) -> bool:
        self._on_skipped(pin, reason)
        return False

    def _next(self) -> _Job | None:
        """Wait for the most valuable frame, of these the oldest; None if none came for a while."""
        with self._changed:
            if not self._jobs and not self._is_closed:
                self._changed.wait(_LOOK_ROUND_S)
            if not self._jobs:
                return None
            job = max(self._jobs, key=lambda job: job.pin.kind.worth)
            self._jobs.remove(job)
            return job

    def _work(self) -> None:
        self._see_to(self._store.open)
        while (job := self._next()) is not None or not self._is_closed:
            if job is None:
                self._see_to(self._store.expire)
            else:
                self._try_to_keep(job)

    def _see_to(self, chore: Callable[[], None]) -> None:
        try:
            chore()
        except OSError as exc:
            self._tell("disk", exc)
        except Exception as exc:  # noqa: BLE001 - this thread is all that the camera has
            self._tell("error", exc)

    def _try_to_keep(self, job: _Job) -> None:
        try:
            digest = self._keep(job)
        except NoRoomError as exc:
            self._fail(job.pin, exc.reason, exc)
        except OSError as exc:
            self._fail(job.pin, "disk", exc)
        except Exception as exc:  # noqa: BLE001 - one frame is no reason to keep no other
            self._fail(job.pin, "error", exc)
        else:
            self._on_stored(job.pin, digest)

    def _keep(self, job: _Job) -> str:
        """Store a frame; return the hash of what tells of it."""
        name, kind = job.pin.alert_id, job.pin.kind
        # The same frame may be told again after a crash.
        if self._store.holds(name, kind):
            record = (self._store.folder / kind.item(name) / RECORD).read_bytes()
        else:
            files = _files(job)
            self._store.put(name, kind, files)
            record = files[RECORD]
        return hashlib.sha256(record).hexdigest()

    def _fail(self, pin: Pin, reason: str, exc: Exception) -> None:
        with self._changed:
            self._skip(pin, reason)
        self._tell(reason, exc)

    def _tell(self, reason: str, exc: Exception) -> None:
        """Log a trouble: once in a while, not once a frame."""
        now_ns = monotonic_ns()
        told_ns = self._told_ns.get(reason)
        if told_ns is not None and now_ns - told_ns < _TOLD_AGAIN_NS:
            return
        self._told_ns[reason] = now_ns
        folder = str(self._store.folder)
        _log.error("evidence could not be stored", folder=folder, reason=reason, error=str(exc))


def _files(job: _Job) -> dict[str, bytes]:
    """Encode an item's files."""
    picture, pin = job.frame.picture, job.pin
    files = _frame_files(picture)
    files["overlay.png"] = encode_png(
        overlay(picture, pin.map, score=pin.score, threshold=pin.threshold, roi=job.roi)
    )
    files[RECORD] = _record(job, files)
    return files


def _frame_files(picture: Picture) -> dict[str, bytes]:
    if picture.format is PixelFormat.I420:
        return {"frame.png": encode_png(to_rgb(picture)), "frame.mkv": encode_ffv1(picture)}
    return {"frame.png": encode_png(picture.planes[0])}


def _record(job: _Job, files: Mapping[str, bytes]) -> bytes:
    """Tell what the pictures show, as JSON."""
    origin, picture, pin = job.frame.origin, job.frame.picture, job.pin
    record = {
        "kind": pin.kind,
        ("alert" if pin.kind is PinKind.BEGIN else "verdict"): json.loads(pin.record),
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
