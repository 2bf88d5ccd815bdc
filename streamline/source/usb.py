"""Cameras of this computer, through Video4Linux."""

import threading
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from streamline.clock import monotonic_ns, wall_ns
from streamline.errors import SourceError, SourceLostError
from streamline.messages import Picture, PixelFormat
from streamline.source.base import Reading

__all__ = ["UsbReader"]

_FPS_TOLERANCE: Final = 0.02  # cameras answer 29.97 when asked for 30


class UsbReader:
    """Reads a Video4Linux camera, one frame in the driver's queue.

    The driver silently takes the nearest mode it has, so what it took is compared with what was
    wanted. A read of a camera that hangs ends after OpenCV's 10 s (its environment variable
    ``OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT``).

    Parameters
    ----------
    device : str or int
        ``/dev/v4l/by-id/…``, which stays with the camera, or the number N of ``/dev/videoN``,
        which does not.
    width, height : int, optional
        Size to ask for, px.
    fps : float, optional
        Frame rate to ask for, 1/s.
    fourcc : str, optional
        Pixel format to ask for, such as ``MJPG``.

    Raises
    ------
    SourceError
        If the device is missing or busy, has no such mode, or gives no frame.
    """

    live = True
    frames = None

    def __init__(
        self,
        device: str | int,
        *,
        width: int | None = None,
        height: int | None = None,
        fps: float | None = None,
        fourcc: str | None = None,
    ) -> None:
        self._path = Path(f"/dev/video{device}" if isinstance(device, int) else device)
        self._interrupted = threading.Event()
        # Pixel format first: which sizes there are, and how fast, depends on it.
        wanted = {
            cv2.CAP_PROP_FOURCC: None if fourcc is None else float(_code(fourcc)),
            cv2.CAP_PROP_FRAME_WIDTH: width,
            cv2.CAP_PROP_FRAME_HEIGHT: height,
            cv2.CAP_PROP_FPS: fps,
        }
        mode = {prop: float(value) for prop, value in wanted.items() if value is not None}
        self._capture = _open(self._path)
        try:
            _set_mode(self._capture, mode, self._path)
            self._first: Reading | None = self._grab()
        except SourceError:
            self.close()
            raise
        if self._first is None:
            self.close()
            msg = f"{self._path} opened but gave no frame; is another program using it?"
            raise SourceError(msg, reason="stalled")

    @property
    def codec(self) -> str:
        """See `streamline.source.Source.codec`."""
        return _fourcc(self._capture.get(cv2.CAP_PROP_FOURCC))

    def read(self) -> Reading | None:
        """See `streamline.source.Source.read`."""
        if self._interrupted.is_set():
            return None
        reading, self._first = self._first, None
        if reading is None:
            reading = self._grab()
        if reading is None and not self._interrupted.is_set():
            is_there = self._path.exists()
            what = "stopped sending frames" if is_there else "was unplugged"
            msg = f"{self._path} {what}; check the cable"
            raise SourceLostError(msg, reason="stalled" if is_there else "missing")
        return reading

    def interrupt(self) -> None:
        """See `streamline.source.Source.interrupt`."""
        self._interrupted.set()

    def close(self) -> None:
        """Give the camera back."""
        self._capture.release()

    def _grab(self) -> Reading | None:
        ok, bgr = self._capture.read()
        if not ok:
            return None
        captured_ns = monotonic_ns()
        rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        rgb.flags.writeable = False
        return Reading(
            picture=Picture(format=PixelFormat.RGB, planes=(rgb,)),
            captured_ns=captured_ns,
            wall_ns=wall_ns() - (monotonic_ns() - captured_ns),
            pts_s=None,
            corrupt=False,
        )


def _open(path: Path) -> cv2.VideoCapture:
    if not path.exists():
        msg = f"there is no camera at {path}; plug it in, or look for its name in /dev/v4l/by-id"
        raise SourceError(msg, reason="missing")
    # by-id names are links, which OpenCV can't turn into a device number.
    capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_V4L2)
    if not capture.isOpened():
        capture.release()
        msg = (
            f"{path} can't be opened as a camera; is another program using it, "
            "and does this user belong to the group video?"
        )
        raise SourceError(msg, reason="refused")
    return capture


def _set_mode(capture: cv2.VideoCapture, mode: dict[int, float], path: Path) -> None:
    """Ask for a mode and make sure that the driver took it."""
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    for prop, value in mode.items():
        capture.set(prop, value)
    for prop, value in mode.items():
        given = capture.get(prop)
        tolerance = _FPS_TOLERANCE * value if prop == cv2.CAP_PROP_FPS else 0.0
        if abs(given - value) > tolerance:
            msg = (
                f"{path} gives {_shown(prop, given)} where {_shown(prop, value)} was asked for; "
                f"see its modes with: v4l2-ctl --device {path} --list-formats-ext"
            )
            raise SourceError(msg, reason="format")


def _code(fourcc: str) -> int:
    return int.from_bytes(fourcc.encode("ascii"), "little")


def _fourcc(value: float) -> str:
    return int(value).to_bytes(4, "little").decode("ascii", "replace").strip("\0 ")


def _shown(prop: int, value: float) -> str:
    if prop == cv2.CAP_PROP_FOURCC:
        return "fourcc " + _fourcc(value)
    names = {cv2.CAP_PROP_FRAME_WIDTH: "width", cv2.CAP_PROP_FRAME_HEIGHT: "height"}
    return f"{names.get(prop, 'fps')} {value:g}"
