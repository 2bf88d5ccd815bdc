"""From a full-size picture to the model's input: one function, whoever asks.

Fitting, scoring, evaluating and running all call `prepare`, so a model never sees pixels made
another way than those it learnt from. The planes are scaled as the decoder gave them and only
the small result is converted to RGB, which costs a third of converting first.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamline.colour import i420_to_rgb
from streamline.messages import Picture, PixelFormat

__all__ = ["prepare"]

Bytes = npt.NDArray[np.uint8]

# A frame is scaled in less than a millisecond, to which OpenCV's threads add nothing; but they
# spin for more work after every call, with the processor time of those that judge.
cv2.setNumThreads(1)


class _Box(NamedTuple):
    """A part of the picture, px, all even but at the picture's own odd edge."""

    top: int
    left: int
    bottom: int
    right: int


def prepare(
    picture: Picture,
    *,
    roi: tuple[int, int, int, int] | None = None,
    size: tuple[int, int] = (256, 256),
    out: Bytes | None = None,
) -> Bytes:
    """Scale a picture, or a part of it, to the model's input.

    Each axis of each plane is halved exactly (mean of two neighbours, rounded; an odd last row
    or column is left out) while it is at least twice as long as wanted, then brought to size by
    linear interpolation with pixel centres at half-integers. Aspect ratio is not kept. No filter
    is wider: where less than half of an axis goes, up to every second sample has no say.

    Parameters
    ----------
    picture : Picture
        Not modified.
    roi : (x, y, w, h), optional
        Part to take, px of the full picture; widened to even coordinates, so that it is the same
        part in every pixel format.
    size : (h, w)
        Wanted size, px, both even.
    out : array of shape (h, w, 3), optional
        Filled and returned instead of a new array; contiguous.

    Returns
    -------
    array of shape (h, w, 3)
        RGB, uint8, contiguous.

    Raises
    ------
    ValueError
        If the region is empty or reaches outside the picture, or if the size is odd.
    """
    if size[0] % 2 or size[1] % 2:
        msg = f"size must be even, got {size[0]} x {size[1]}"
        raise ValueError(msg)
    box = _even_box(picture, roi)
    target = np.empty((*size, 3), np.uint8) if out is None else out
    _PREPARE[picture.format](picture, box, target)
    return target


def _even_box(picture: Picture, roi: tuple[int, int, int, int] | None) -> _Box:
    if roi is None:
        return _Box(0, 0, picture.height, picture.width)
    x, y, w, h = roi
    if min(w, h) <= 0 or min(x, y) < 0 or x + w > picture.width or y + h > picture.height:
        msg = (
            f"roi x={x} y={y} w={w} h={h} does not lie in the picture "
            f"of {picture.width} x {picture.height} px"
        )
        raise ValueError(msg)
    bottom = min(picture.height, y + h + (y + h) % 2)
    right = min(picture.width, x + w + (x + w) % 2)
    return _Box(y - y % 2, x - x % 2, bottom, right)


def _prepare_i420(picture: Picture, box: _Box, target: Bytes) -> None:
    height, width = target.shape[:2]
    planes = np.empty(height * width * 3 // 2, np.uint8)
    luma, chroma = planes[: height * width], planes[height * width :]
    chroma_u, chroma_v = chroma[: len(chroma) // 2], chroma[len(chroma) // 2 :]
    half = (height // 2, width // 2)
    full_y, full_u, full_v = picture.planes
    _scale(full_y[box.top : box.bottom, box.left : box.right], luma.reshape(height, width))
    rows = slice(box.top // 2, (box.bottom + 1) // 2)
    columns = slice(box.left // 2, (box.right + 1) // 2)
    _scale(full_u[rows, columns], chroma_u.reshape(half))
    _scale(full_v[rows, columns], chroma_v.reshape(half))
    i420_to_rgb(planes, height, width, picture.colour, out=target)


def _prepare_rgb(picture: Picture, box: _Box, target: Bytes) -> None:
    _scale(picture.planes[0][box.top : box.bottom, box.left : box.right], target)


def _prepare_gray(picture: Picture, box: _Box, target: Bytes) -> None:
    gray = np.empty(target.shape[:2], np.uint8)
    _scale(picture.planes[0][box.top : box.bottom, box.left : box.right], gray)
    cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB, dst=target)


_PREPARE: Final[dict[PixelFormat, Callable[[Picture, _Box, Bytes], None]]] = {
    PixelFormat.I420: _prepare_i420,
    PixelFormat.RGB: _prepare_rgb,
    PixelFormat.GRAY: _prepare_gray,
}


def _scale(source: Bytes, target: Bytes) -> None:
    """Halve and interpolate one plane into *target*."""
    height, width = target.shape[:2]
    while (by_rows := source.shape[0] >= 2 * height) | (by_columns := source.shape[1] >= 2 * width):
        source = _halve(source, by_rows=by_rows, by_columns=by_columns)
    cv2.resize(source, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)


def _halve(source: Bytes, *, by_rows: bool, by_columns: bool) -> Bytes:
    """Average pairs along one axis or both, halves rounded up."""
    rows = source.shape[0] // 2 if by_rows else source.shape[0]
    columns = source.shape[1] // 2 if by_columns else source.shape[1]
    even = source[: rows * 2 if by_rows else rows, : columns * 2 if by_columns else columns]
    if by_columns and not by_rows:
        # OpenCV is fast where both axes are halved: with doubled rows the 2 x 2 mean is the mean
        # of two columns, to the bit, in a quarter of the time.
        even = even.repeat(2, axis=0)
    # At a ratio of exactly 2 linear interpolation is the mean of the neighbours.
    return np.asarray(cv2.resize(even, (columns, rows), interpolation=cv2.INTER_LINEAR), np.uint8)
