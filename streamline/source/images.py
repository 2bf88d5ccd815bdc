"""Folders of still images, as fast as they are read or paced like a camera."""

import threading
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import structlog

from streamline.clock import monotonic_ns, wall_ns
from streamline.errors import SourceError
from streamline.messages import Picture, PixelFormat
from streamline.source.base import Reading
from streamline.source.pace import Pacer

# A damaged image is told in our own words; OpenCV would add its own to standard error.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

__all__ = ["ImagesReader", "image_paths", "read_image"]

_log = structlog.get_logger("streamline.source")

_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def image_paths(folder: Path) -> list[Path]:
    """List the images directly in a folder, sorted by name.

    Raises
    ------
    SourceError
        If the folder is missing, unreadable or has no image in it.
    """
    try:
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES)
    except OSError as exc:
        msg = f"{folder} can't be read as a folder of images: {exc.strerror}"
        raise SourceError(msg, reason="missing") from exc
    if not paths:
        msg = f"{folder} has no image in it (looked for {', '.join(sorted(_SUFFIXES))})"
        raise SourceError(msg, reason="missing")
    return paths


def read_image(path: Path) -> Picture:
    """Decode one still image, grey or RGB, 8 bit (deeper ones are reduced to their upper 8).

    A rotation that the camera noted in the file is applied, as image viewers do; transparency
    is dropped.

    Raises
    ------
    SourceError
        If the file can't be read, or not as an image; the message names it.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as exc:
        msg = f"the image {path} can't be read: {exc.strerror}"
        raise SourceError(msg, reason="missing") from exc
    pixels = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR) if data.size else None
    if pixels is None:
        msg = f"{path} is not an image that OpenCV can decode; remove or replace it"
        raise SourceError(msg, reason="format")
    is_grey = pixels.ndim == 2
    plane = np.asarray(pixels if is_grey else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
    plane.flags.writeable = False
    return Picture(format=PixelFormat.GRAY if is_grey else PixelFormat.RGB, planes=(plane,))


class ImagesReader:
    """Reads a folder's images in the order of their names.

    One that can't be decoded is delivered black and `Reading.corrupt`, in the size of the one
    before it: it was due, and nothing is known of it.

    Parameters
    ----------
    folder : Path
        Where the images lie; sub-folders are not entered.
    pace : "max" or float
        As fast as it is read, or this many frames a second with overruns as a camera has them.
    hold : int
        How many frames in a row each image is shown, >= 1.
    loop : bool
        Start over at the end, for ever.

    Raises
    ------
    SourceError
        If there is no image, or the first can't be decoded.
    """

    def __init__(
        self,
        folder: Path,
        *,
        pace: Literal["max"] | float = "max",
        hold: int = 1,
        loop: bool = False,
    ) -> None:
        self._paths = image_paths(folder)
        self._hold = hold
        self._loop = loop
        self._interrupted = threading.Event()
        self._pacer = None if pace == "max" else Pacer(float(pace), wait=self._interrupted.wait)
        self._next = 0
        self._shown_path = self._paths[0]
        self._shown = read_image(self._shown_path)
        self._is_corrupt = False
        self._told: set[Path] = set()

    @property
    def live(self) -> bool:
        """Whether the images are paced."""
        return self._pacer is not None

    @property
    def frames(self) -> int | None:
        """Number of frames from the first to the last image; None when looping."""
        return None if self._loop else len(self._paths) * self._hold

    @property
    def codec(self) -> str:
        """See `streamline.source.Source.codec`: each image may be compressed otherwise."""
        return ""

    def read(self) -> Reading | None:
        """See `streamline.source.Source.read`."""
        if self._is_over():
            return None
        index, captured_ns = self._next, None
        if self._pacer is not None:
            due = self._pacer.turn()
            # The last image is delivered, however late: captured + missed is the whole folder.
            index = due.number if self._loop else min(due.number, self._last())
            captured_ns = self._pacer.due_ns(index)
        if self._interrupted.is_set():
            return None
        picture = self._picture(index)
        missed, self._next = index - self._next, index + 1
        captured_ns = monotonic_ns() if captured_ns is None else captured_ns
        return Reading(
            picture=picture,
            captured_ns=captured_ns,
            wall_ns=wall_ns() - (monotonic_ns() - captured_ns),
            pts_s=None,
            corrupt=self._is_corrupt,
            missed=missed,
        )

    def interrupt(self) -> None:
        """See `streamline.source.Source.interrupt`; here it acts at once."""
        self._interrupted.set()

    def close(self) -> None:
        """Nothing stays open between two reads."""

    def _last(self) -> int:
        return len(self._paths) * self._hold - 1

    def _is_over(self) -> bool:
        return self._interrupted.is_set() or (not self._loop and self._next > self._last())

    def _picture(self, index: int) -> Picture:
        path = self._paths[index // self._hold % len(self._paths)]
        if path != self._shown_path:
            self._show(path)
        return self._shown

    def _show(self, path: Path) -> None:
        try:
            self._shown, self._is_corrupt = read_image(path), False
        except SourceError as exc:
            if exc.reason != "format":
                raise
            self._tell(path, exc)
            self._shown, self._is_corrupt = _black(self._shown), True
        self._shown_path = path

    def _tell(self, path: Path, exc: SourceError) -> None:
        if path not in self._told:
            self._told.add(path)
            _log.warning("image is damaged, its frames can't be judged", why=str(exc))


def _black(picture: Picture) -> Picture:
    """Return a black picture of the same format and size."""
    planes = tuple(np.zeros_like(plane) for plane in picture.planes)
    for plane in planes:
        plane.flags.writeable = False
    return Picture(format=picture.format, planes=planes)
