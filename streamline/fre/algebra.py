"""What a fit asks of whatever multiplies its features: NumPy here, a device elsewhere.

Beside this, a fit works on coordinates, which are as many as there are frames: next to nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["HOST", "Algebra", "Gram", "column_parts", "require_finite", "require_frames"]

Floats = npt.NDArray[np.floating]
Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_CHUNK_BYTES = 32 << 20


class Gram(NamedTuple):
    """Inner products of all pairs of frames after the mean frame is taken off."""

    products: Doubles
    """Shape ``(n, n)``: ``(x_i - mean) · (x_j - mean)``."""

    mean: Singles
    """Shape ``(d,)``."""

    energy: float
    """Sum of squares of the frames before centring."""


class Algebra(Protocol):
    """Products and eigenvalues; copies of features take a bounded amount of memory."""

    def gram(self, features: Floats, /) -> Gram:
        """Multiply centred frames with one another, in float64.

        No precision is lost where the mean is much larger than the variation.

        Parameters
        ----------
        features : array of shape (n, d)
            One row per frame; not modified.

        Raises
        ------
        ValueError
            If there are fewer than two rows, no columns, or a value that is no finite number.
        """
        ...

    def products(self, rows: Singles, /) -> Doubles:
        """Multiply rows, of shape ``(n, d)``, with one another as they are: ``(n, n)``."""
        ...

    def eigh(self, symmetric: Doubles, /) -> tuple[Doubles, Doubles]:
        """Return eigenvalues, the smallest first, and eigenvectors as columns."""
        ...

    def combine(self, weights: Floats, rows: Floats, /, *, centred: bool, out: Singles) -> None:
        """Add up rows, in the arithmetic of the weights.

        Parameters
        ----------
        weights : array of shape (k, n)
        rows : array of shape (n, d)
        centred : bool
            Whether their mean is taken off the rows before.
        out : array of shape (k, d)
            Written to; may be the first of the rows.
        """
        ...


class _Host:
    """See `Algebra`."""

    def gram(self, features: Floats, /) -> Gram:
        require_frames(features)
        products = np.zeros((len(features), len(features)))
        mean = np.empty(features.shape[1], np.float32)
        energy = 0.0
        for part in column_parts(features):
            wide = features[:, part].astype(np.float64)
            energy += float(np.vdot(wide, wide))
            middle = wide.mean(axis=0)
            mean[part] = middle
            wide -= middle
            products += wide @ wide.T
        require_finite(energy)
        return Gram(products, mean, energy)

    def products(self, rows: Singles, /) -> Doubles:
        products = np.zeros((len(rows), len(rows)))
        for part in column_parts(rows):
            products += rows[:, part] @ rows[:, part].T
        return products

    def eigh(self, symmetric: Doubles, /) -> tuple[Doubles, Doubles]:
        values, vectors = np.linalg.eigh(symmetric)
        return values, vectors

    def combine(self, weights: Floats, rows: Floats, /, *, centred: bool, out: Singles) -> None:
        for part in column_parts(rows):
            wide = rows[:, part].astype(weights.dtype, copy=centred)
            if centred:
                wide -= wide.mean(axis=0)
            out[:, part] = weights @ wide


HOST: Algebra = _Host()
"""NumPy's."""


def require_frames(features: Floats, /) -> None:
    """Refuse too few frames.

    Raises
    ------
    ValueError
        If there are fewer than two rows, or no columns.
    """
    n, d = features.shape
    if n < 2 or d < 1:
        msg = f"a subspace needs at least 2 frames with 1 feature each, got shape ({n}, {d})"
        raise ValueError(msg)


def require_finite(energy: float, /) -> None:
    """Refuse frames whose sum of squares is no finite number.

    Raises
    ------
    ValueError
        If so.
    """
    if not np.isfinite(energy):
        msg = "the features hold values that are no finite numbers"
        raise ValueError(msg)


def column_parts(features: Floats, /) -> Iterator[slice]:
    """Cut the columns into runs of which a float64 copy takes a bounded amount of memory."""
    n, d = features.shape
    step = max(1, _CHUNK_BYTES // (8 * n))
    return (slice(start, min(start + step, d)) for start in range(0, d, step))
