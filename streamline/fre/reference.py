"""Feature reconstruction error as a formula: the truth that every device's graph must match.

For a frame's features ``u`` of one layer and its `Subspace` (mean ``m``, directions ``V``),
the error is ``e = (u - m) - (u - m) Vᵀ V``. A layer's score is ``‖e‖₂``, its map the channel
mean of ``e²`` (signed errors would cancel); several layers join by their geometric mean.

N. J. Ndiour, E. U. Genc, N. A. Ahuja, O. Tickoo, "FRE: A Fast Method For Anomaly Detection
And Segmentation", BMVC 2023.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamline.fre.autoencoder import LinearAutoencoder
from streamline.fre.subspace import Subspace

__all__ = [
    "TINY",
    "fuse_errors",
    "fuse_maps",
    "interpolation_matrix",
    "mean_square_map",
    "reconstruction_error",
    "reconstruction_residual",
    "resize_bilinear",
]

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]

TINY = 1e-12
"""Squared errors are raised to this before the logarithm of a geometric mean."""


def reconstruction_residual(features: Floats, subspace: Subspace | LinearAutoencoder, /) -> Doubles:
    """Find what the subspace, or the autoencoder, can't reconstruct.

    Parameters
    ----------
    features : array of shape (n, d)
        One row per frame; not modified.

    Returns
    -------
    array of shape (n, d)
        ``e``, float64.
    """
    encoder, decoder = subspace.encoder.astype(np.float64), subspace.decoder.astype(np.float64)
    centred = features - subspace.mean.astype(np.float64)
    return np.asarray(centred - (centred @ encoder.T) @ decoder, np.float64)


def reconstruction_error(features: Floats, subspace: Subspace | LinearAutoencoder, /) -> Doubles:
    """Norm of the residual of each frame, shape ``(n,)``."""
    squares: Doubles = np.square(reconstruction_residual(features, subspace))
    return np.asarray(np.sqrt(squares.sum(axis=1)), np.float64)


def fuse_errors(errors: Sequence[Floats], /) -> Doubles:
    """Geometric mean over layers.

    Parameters
    ----------
    errors : sequence of arrays of shape (n,)
        One array per layer, >= 0.

    Examples
    --------
    >>> fuse_errors([np.array([1.0, 4.0]), np.array([9.0, 4.0])]).round(6).tolist()
    [3.0, 4.0]
    """
    logs = [np.log(np.maximum(np.square(error, dtype=np.float64), TINY)) for error in errors]
    return np.asarray(np.exp(np.mean(logs, axis=0) / 2), np.float64)


def mean_square_map(residual: Floats, /, *, shape: tuple[int, int, int]) -> Doubles:
    """Channel mean of the squared residual at each place of the layer.

    Parameters
    ----------
    residual : array of shape (n, c * h * w)
        From `reconstruction_residual`.
    shape : tuple of (c, h, w)
        How the features were flattened.

    Returns
    -------
    array of shape (n, h, w)
    """
    squares = np.square(residual.reshape(-1, *shape), dtype=np.float64)
    return np.asarray(squares.mean(axis=1), np.float64)


def fuse_maps(maps: Sequence[Doubles], /) -> Doubles:
    """Geometric mean of maps, each resized to the grid of the finest.

    Parameters
    ----------
    maps : sequence of arrays of shape (n, h_l, w_l)
        One array per layer, >= 0.

    Returns
    -------
    array of shape (n, h, w)
        ``h`` and ``w`` of the map with the most places.
    """
    finest = max(maps, key=lambda one: one.shape[1] * one.shape[2]).shape[1:]
    size = (int(finest[0]), int(finest[1]))
    logs = [np.log(np.maximum(resize_bilinear(one, size=size), TINY)) for one in maps]
    return np.asarray(np.exp(np.mean(logs, axis=0)), np.float64)


def resize_bilinear(maps: Floats, /, *, size: tuple[int, int]) -> Doubles:
    """Resize by bilinear interpolation between pixel centres, edges held.

    Parameters
    ----------
    maps : array of shape (n, h, w)
        Not modified.
    size : tuple of (rows, columns)
        Of the result.

    Examples
    --------
    >>> resize_bilinear(np.array([[[0.0, 4.0]]]), size=(1, 4)).tolist()
    [[[0.0, 1.0, 3.0, 4.0]]]
    """
    rows = interpolation_matrix(maps.shape[1], size[0])
    columns = interpolation_matrix(maps.shape[2], size[1])
    resized: Doubles = rows @ maps.astype(np.float64) @ columns.T
    return resized


def interpolation_matrix(old: int, new: int) -> Doubles:
    """Matrix of shape (new, old) that interpolates at half-pixel centres, edges held."""
    centres = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    low = np.minimum(centres.astype(np.intp), max(old - 2, 0))
    high = np.minimum(low + 1, old - 1)
    share = centres - low
    matrix = np.zeros((new, old))
    np.add.at(matrix, (np.arange(new), low), 1 - share)
    np.add.at(matrix, (np.arange(new), high), share)
    return matrix
