"""From YUV samples to RGB ones: the one conversion behind scaling, overlays and evidence."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from streamline.messages import Colour, Picture, PixelFormat

__all__ = ["i420_to_rgb", "to_rgb"]

Bytes = npt.NDArray[np.uint8]

_RED_BLUE: Final = {
    Colour.BT601_FULL: (0.299, 0.114),
    Colour.BT709: (0.2126, 0.0722),
    Colour.BT709_FULL: (0.2126, 0.0722),
}
"""Share of red and of blue in luma (ITU-R BT.601-7 2.5.1, BT.709-6 3.2)."""

_FULL: Final = frozenset({Colour.BT601_FULL, Colour.BT709_FULL})


def i420_to_rgb(planes: Bytes, height: int, width: int, colour: Colour, *, out: Bytes) -> None:
    """Convert contiguous I420 planes to RGB, chroma repeated to 2 x 2 pixels.

    Parameters
    ----------
    planes : array of shape (height * width * 3 / 2,)
        Y, then U, then V, without padding.
    height, width : int
        Size of the picture, px, both even.
    colour : Colour
        Matrix and range of the samples.
    out : array of shape (height, width, 3)
        Filled with RGB; contiguous.
    """
    if colour is Colour.BT601:
        cv2.cvtColor(planes.reshape(-1, width), cv2.COLOR_YUV2RGB_I420, dst=out)
        return
    luma, chroma_u, chroma_v = _split(planes, height, width)
    size = (width, height)
    upsampled = [cv2.resize(c, size, interpolation=cv2.INTER_NEAREST) for c in (chroma_u, chroma_v)]
    cv2.transform(cv2.merge([luma, *upsampled]), _to_rgb_matrix(colour), dst=out)


def to_rgb(picture: Picture) -> Bytes:
    """Convert a picture to RGB at its own size.

    Returns
    -------
    array of shape (height, width, 3)
        New, writable.
    """
    if picture.format is PixelFormat.RGB:
        return picture.planes[0].copy()
    if picture.format is PixelFormat.GRAY:
        return np.repeat(picture.planes[0][:, :, np.newaxis], 3, axis=2)
    height, width = picture.height, picture.width
    # The conversion wants even sizes: what it makes of the added row and column is cut off again.
    even_h, even_w = height + height % 2, width + width % 2
    planes = np.empty(even_h * even_w * 3 // 2, np.uint8)
    for target, source in zip(_split(planes, even_h, even_w), picture.planes, strict=True):
        rows, columns = source.shape
        target[:rows, :columns] = source
    rgb = np.empty((even_h, even_w, 3), np.uint8)
    i420_to_rgb(planes, even_h, even_w, picture.colour, out=rgb)
    return np.ascontiguousarray(rgb[:height, :width])


def _split(planes: Bytes, height: int, width: int) -> tuple[Bytes, Bytes, Bytes]:
    """View contiguous I420 planes as three pictures."""
    luma, chroma_u, chroma_v = np.split(planes, [height * width, height * width * 5 // 4])
    half = (height // 2, width // 2)
    return luma.reshape(height, width), chroma_u.reshape(half), chroma_v.reshape(half)


def _to_rgb_matrix(colour: Colour) -> npt.NDArray[np.float64]:
    """Affine map from (Y, U, V, 1) in 0..255 to (R, G, B), shape (3, 4)."""
    red, blue = _RED_BLUE[colour]
    green = 1 - red - blue
    luma_range, chroma_range, black = (255, 255, 0) if colour in _FULL else (219, 224, 16)
    y = 255 / luma_range
    c = 255 / chroma_range
    linear = np.array(
        [
            [y, 0, 2 * (1 - red) * c],
            [y, -2 * (1 - blue) * blue / green * c, -2 * (1 - red) * red / green * c],
            [y, 2 * (1 - blue) * c, 0],
        ]
    )
    offset = -linear @ np.array([black, 128, 128])
    return np.column_stack([linear, offset])
