"""Video files: as fast as they decode, or paced like a camera."""

import threading
from pathlib import Path
from stat import S_ISDIR
from typing import Literal, NamedTuple

import av
from av.container import InputContainer

from streamline.clock import monotonic_ns, wall_ns
from streamline.errors import SourceError, SourceLostError
from streamline.source.base import Reading
from streamline.source.decoder import Decoded, Decoder
from streamline.source.pace import Pacer
from streamline.source.picture import picture_of

__all__ = ["VideoReader"]


class _Opened(NamedTuple):
    """One pass through the file, its first frame already decoded."""

    container: InputContainer
    decoder: Decoder
    first: Decoded


class VideoReader:
    """Reads a video file frame by frame.

    Parameters
    ----------
    path : Path
        The file.
    pace : {"max", "native"} or float
        As fast as it is read, at the file's own mean rate, or at this many frames a second.
        A paced reader behaves as a camera: a frame is captured when it is due, and what was
        due while nobody read is missed (`Reading.missed`), its content skipped.
    loop : bool
        Start over at the end, for ever. Due times go on; `Reading.pts_s` starts over.

    Raises
    ------
    SourceError
        If the file is missing or no frame of it can be decoded.
    """

    def __init__(
        self, path: Path, *, pace: Literal["max", "native"] | float = "max", loop: bool = False
    ) -> None:
        self._path = path
        self._loop = loop
        self._interrupted = threading.Event()
        opened = _open(path)
        self._container, self._decoder = opened.container, opened.decoder
        self._first: Decoded | None = opened.first
        self._pacer = self._make_pacer(pace)

    @property
    def live(self) -> bool:
        """Whether the file is paced."""
        return self._pacer is not None

    @property
    def frames(self) -> int | None:
        """Number of frames as the file's header says; None if it doesn't, or when looping."""
        return None if self._loop else self._decoder.stream.frames or None

    @property
    def codec(self) -> str:
        """See `streamline.source.Source.codec`."""
        return self._decoder.codec

    def read(self) -> Reading | None:
        """See `streamline.source.Source.read`."""
        if self._interrupted.is_set():
            return None
        return self._read_next() if self._pacer is None else self._read_due(self._pacer)

    def interrupt(self) -> None:
        """See `streamline.source.Source.interrupt`; here it acts at once."""
        self._interrupted.set()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _make_pacer(self, pace: Literal["max", "native"] | float) -> Pacer | None:
        if pace == "max":
            return None
        if pace != "native":
            return Pacer(float(pace), wait=self._interrupted.wait)
        rate = self._decoder.stream.average_rate
        if not rate:
            self.close()
            msg = f"{self._path} does not say its frame rate; set pace to frames per second"
            raise SourceError(msg, reason="format")
        return Pacer(float(rate), wait=self._interrupted.wait)

    def _read_next(self) -> Reading | None:
        decoded = self._next_frame()
        if decoded is None:
            return None
        return _reading(decoded, monotonic_ns())

    def _read_due(self, pacer: Pacer) -> Reading | None:
        due = pacer.turn()
        newest = None if self._interrupted.is_set() else self._next_frame()
        if newest is None:
            return None
        missed = damaged = 0
        # At the end of the file its last frame is delivered, however late, so that what was
        # missed before it is reported and captured + missed is the number of frames.
        while missed < due.missed and (later := self._next_frame()) is not None:
            damaged += newest.undecodable + newest.corrupt
            newest = later
            missed += 1
        captured_ns = pacer.due_ns(due.number - due.missed + missed)
        return _reading(newest, captured_ns, missed=missed, damaged=damaged)

    def _next_frame(self) -> Decoded | None:
        first, self._first = self._first, None
        if first is not None:
            return first
        try:
            decoded = self._decoder.next()
        except av.FFmpegError as exc:
            msg = f"{self._path} can't be read on: {exc.strerror}; is the file damaged?"
            raise SourceLostError(msg, reason="format") from exc
        return self._start_over() if decoded is None and self._loop else decoded

    def _start_over(self) -> Decoded:
        # Opening anew rather than seeking: not every container can seek to its first frame.
        self._container.close()
        self._container, self._decoder, first = _open(self._path)
        return first


def _reading(decoded: Decoded, captured_ns: int, *, missed: int = 0, damaged: int = 0) -> Reading:
    """Make a reading of a frame; *damaged* of what was *missed* before it was spoilt."""
    return Reading(
        picture=picture_of(decoded.frame),
        captured_ns=captured_ns,
        wall_ns=wall_ns() - (monotonic_ns() - captured_ns),
        pts_s=decoded.pts_s,
        corrupt=decoded.corrupt,
        missed=missed,
        damaged_unseen=damaged + decoded.undecodable,
    )


def _open(path: Path) -> _Opened:
    """Open the file and decode its first frame."""
    try:
        is_folder = S_ISDIR(path.stat().st_mode)
    except FileNotFoundError as exc:
        msg = f"there is no file or folder {path}; give a video, or a folder of images"
        raise SourceError(msg, reason="missing") from exc
    except OSError as exc:
        msg = f"{path} can't be read: {exc.strerror}; check its permissions and where it is mounted"
        raise SourceError(msg, reason="missing") from exc
    if is_folder:
        msg = f"{path} is a folder, not a video"
        raise SourceError(msg, reason="format")
    try:
        # An absolute path can't be taken for a URL.
        container = av.open(str(path.absolute()), mode="r")
    except av.FFmpegError as exc:
        msg = f"{path} can't be read as a video ({exc.strerror}); give one that plays"
        raise SourceError(msg, reason="format") from exc
    why = "none of its pictures can be decoded"
    try:
        decoder = Decoder(container)
        first = decoder.next()
        if first is not None:
            return _Opened(container, decoder, first)
    except av.FFmpegError as exc:
        why = exc.strerror or type(exc).__name__
    except SourceError as exc:
        why = str(exc)
    container.close()
    msg = f"{path} can't be read as a video ({why}); give one that plays"
    raise SourceError(msg, reason="format")
