"""What one glance at a prepared frame says of light and lens."""

import math
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["THUMBNAIL", "Look", "look_at"]

THUMBNAIL: Final = 64
"""Rows and columns of a thumbnail, px."""


class Look(NamedTuple):
    """Figures of one frame."""

    brightness: float
    """Mean grey level, 0..255."""

    contrast: float
    """Standard deviation of the thumbnail's grey levels."""

    sharpness: float
    """Standard deviation of the Laplacian over that of the grey levels: the square root of the
    variance of the Laplacian (J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield
    microscopy: a comparative study", 2000), made indifferent to more or less light."""

    thumbnail: npt.NDArray[np.float32]
    """Shape ``(THUMBNAIL, THUMBNAIL)``, grey levels 0..255."""


def look_at(pixels: npt.NDArray[np.uint8], /) -> Look:
    """Measure a prepared frame of shape ``(h, w, 3)``, RGB."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    mean, spread = cv2.meanStdDev(small)
    # The mean of a Laplacian is next to nothing, so that this is its standard deviation.
    edges = cv2.norm(cv2.Laplacian(grey, cv2.CV_16S), cv2.NORM_L2) / math.sqrt(grey.size)
    contrast = float(spread[0, 0])
    return Look(
        brightness=float(mean[0, 0]),
        contrast=contrast,
        # A picture of one grey has no edges to be sharp.
        sharpness=edges / max(contrast, 1.0),
        thumbnail=np.asarray(small, np.float32),
    )
