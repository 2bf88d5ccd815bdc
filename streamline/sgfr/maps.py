"""From what can't be reconstructed to a picture of where: norms, resizing, smoothing, maximum.

Resizing to the image and smoothing there are linear in rows and in columns, so both together are
two small products ``A M Bᵀ`` with matrices that are made once.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamline.fre import interpolation_matrix

__all__ = ["SMOOTHING_PX", "finest", "location_norms", "smoothed_resize_matrix"]

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]

SMOOTHING_PX = 4.0
"""Standard deviation of the Gaussian at the size of the image, px: the field's habit."""

_REACH = 4
"""Standard deviations after which the Gaussian is cut off."""


def location_norms(
    residual: npt.NDArray[np.float32], /, *, shape: tuple[int, int, int]
) -> npt.NDArray[np.float32]:
    """Norm over the channels at each place of the layer.

    Parameters
    ----------
    residual : array of shape (b, c * h * w)
        Not modified.
    shape : tuple of (c, h, w)
        How the features were flattened.

    Returns
    -------
    array of shape (b, h, w)
    """
    picture = residual.reshape(-1, *shape)
    return np.asarray(np.sqrt(np.einsum("bchw,bchw->bhw", picture, picture)), np.float32)


def finest(shapes: Sequence[tuple[int, int, int]], /) -> tuple[int, int]:
    """Rows and columns of the layer with the most places."""
    _, height, width = max(shapes, key=lambda shape: shape[1] * shape[2])
    return height, width


def smoothed_resize_matrix(old: int, new: int, /, *, sigma: float) -> Doubles:
    """Matrix that resizes ``old`` values to ``new`` by bilinear interpolation, then smooths.

    Smoothing is by a Gaussian, with the values mirrored about the first and the last.

    Parameters
    ----------
    sigma : float
        Standard deviation in steps of the new size, > 0.

    Returns
    -------
    array of shape (new, old)
        Rows add up to 1.
    """
    reach = max(1, round(_REACH * sigma))
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-np.square(steps / sigma) / 2)
    kernel /= kernel.sum()
    # The row that stands at each place of the mirrored continuation.
    rows = np.pad(np.arange(new), reach, mode="reflect")
    smoothing = np.zeros((new, new))
    for offset, weight in enumerate(kernel):
        np.add.at(smoothing, (np.arange(new), rows[offset : offset + new]), weight)
    return np.asarray(smoothing @ interpolation_matrix(old, new), np.float64)
