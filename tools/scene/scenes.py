"""Real and rendered scenes: frames to learn from, and others that go on for as long as wanted."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamline.config import parse_source
from streamline.messages import Picture, PixelFormat
from streamline.source import open_source
from streamline.source.images import read_image

__all__ = ["Scene", "demo", "of_argument"]

Pixels = npt.NDArray[np.uint8]

_STILLS_HZ: Final = 5.0
"""Stills stand for products that come by, so many a second."""

_VIDEO_HZ: Final = 10.0
"""Frames a second that are taken of a video: all would not fit into memory."""


class Scene(NamedTuple):
    """One camera's pictures, full-size RGB."""

    name: str
    rate_hz: float
    normal: list[Pixels]
    """To learn from."""

    others: list[Pixels]
    """Sound ones as well, that nothing was learnt from."""

    def going_on(self) -> Iterator[tuple[float, Pixels]]:
        """Time and picture of others, without end: forwards and backwards, so that none jumps."""
        way = [*self.others, *self.others[-2:0:-1]]
        for number, picture in enumerate(cycle(way)):
            yield number / self.rate_hz, picture


def demo(seed: int) -> Scene:
    """Return a rendered line: learn from the normal clip, watch the one with defects."""
    normal, rate_hz = _video(f"demo://normal?seed={seed}")
    others, _ = _video(f"demo://inspect?seed={seed}")
    return Scene(f"demo {seed}", rate_hz, normal, others)


def of_argument(text: str) -> Scene:
    """Return the halves of a video, or of the images that a pattern such as ``good/*.png`` names.

    Images have no order in time: they are shuffled, always alike.
    """
    if "*" not in text:
        pictures, rate_hz = _video(text)
        name = Path(text).stem
    else:
        pattern = Path(text)
        paths = sorted(pattern.parent.glob(pattern.name))
        np.random.default_rng(0).shuffle(paths)
        pictures, rate_hz = [_rgb(read_image(path)) for path in paths], _STILLS_HZ
        name = "/".join(pattern.parts[-3:-1])
    half = len(pictures) // 2
    return Scene(name, rate_hz, pictures[:half], pictures[half:])


def _video(text: str) -> tuple[list[Pixels], float]:
    """Read about `_VIDEO_HZ` frames a second, and tell how many exactly."""
    source = open_source(parse_source(text, Path()))
    pictures, times = list[Pixels](), list[float]()
    try:
        while (reading := source.read()) is not None:
            time_s = reading.pts_s or 0.0
            if not times or time_s - times[-1] >= 0.999 / _VIDEO_HZ:
                times.append(time_s)
                pictures.append(_rgb(reading.picture))
    finally:
        source.close()
    return pictures, (len(times) - 1) / (times[-1] - times[0])


def _rgb(picture: Picture) -> Pixels:
    if picture.format is PixelFormat.I420:
        whole = np.concatenate([np.ravel(plane) for plane in picture.planes])
        shape = (picture.height * 3 // 2, picture.width)
        return np.asarray(cv2.cvtColor(whole.reshape(shape), cv2.COLOR_YUV2RGB_I420), np.uint8)
    if picture.format is PixelFormat.GRAY:
        return np.asarray(cv2.cvtColor(picture.planes[0], cv2.COLOR_GRAY2RGB), np.uint8)
    return picture.planes[0]
