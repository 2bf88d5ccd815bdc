"""The method as its formulas read, frame by frame in float64: what the fast code must match."""

import numpy as np
import numpy.typing as npt

from streamline.fre import resize_bilinear

__all__ = ["reference_map", "reference_pursuit"]

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]


def reference_pursuit(
    bank: Floats, frame: Floats, /, *, sparsity: int, tolerance: float = 0.0
) -> tuple[list[int], Doubles, Doubles]:
    """Orthogonal matching pursuit on the features themselves (algorithm 1).

    Parameters
    ----------
    bank : array of shape (n, d)
        One row per normal frame; not modified.
    frame : array of shape (d,)
        Not modified.

    Returns
    -------
    support : list of int
        Rows of the bank in the order they were chosen.
    coefficients : array of shape (k,)
        Theirs, by least squares.
    residual : array of shape (d,)
        ``e``.
    """
    columns = bank.astype(np.float64).T
    target = frame.astype(np.float64)
    norms = np.linalg.norm(columns, axis=0)
    support: list[int] = []
    coefficients: Doubles = np.empty(0)
    residual = target
    while len(support) < sparsity and np.linalg.norm(residual) > tolerance:
        strength = np.abs(columns.T @ residual) / np.where(norms > 0, norms, np.inf)
        strength[support] = -1
        support.append(int(strength.argmax()))
        solved = np.linalg.lstsq(columns[:, support], target, rcond=None)[0]
        coefficients = np.asarray(solved, np.float64)
        residual = target - columns[:, support] @ coefficients
    return support, coefficients, residual


def reference_map(
    residual: Doubles, /, *, shape: tuple[int, int, int], grid: tuple[int, int]
) -> Doubles:
    """Norm over the channels at each place, resized to `grid`.

    Parameters
    ----------
    residual : array of shape (c * h * w,)
        From `reference_pursuit`.
    """
    norms: Doubles = np.linalg.norm(residual.reshape(shape), axis=0)
    return np.asarray(resize_bilinear(norms[None], size=grid)[0], np.float64)
