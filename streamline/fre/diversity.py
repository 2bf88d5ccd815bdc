"""How many distinct frames a recording holds: copies of a still scene teach sensor noise only.

The diversity of order 2 of Leinster and Cobbold with every frame equally common,
``1 / mean(Z)``, where ``Z_ij`` in [0, 1] says how alike frames ``i`` and ``j`` are: 1 if all
frames are alike, ``n`` if no two are.

T. Leinster, C. A. Cobbold, "Measuring diversity: the importance of species similarity",
Ecology 93 (2012); for data sets, D. Friedman, A. B. Dieng, "The Vendi Score", TMLR (2023).
"""

import numpy as np
import numpy.typing as npt

__all__ = ["effective_count"]

Floats = npt.NDArray[np.floating]

_ROWS = 256
"""Frames compared with all others at a time."""

_SCALES = 2.0
"""Frames this many noise distances apart are half distinct (Z = 1/e)."""


def effective_count(
    points: Floats, /, *, noise: float, outside: npt.NDArray[np.float64] | None = None
) -> float:
    """Effective number of distinct frames.

    Likeness falls as ``exp(-(distance / (2 noise))^4)``: flat up to the distance that noise
    makes (0.94 there), gone at four times that. Frames of a still scene with that noise
    count as 1.07 however many there are.

    Parameters
    ----------
    points : array of shape (n, m)
        The frames in any coordinates that keep their distances; not modified.
    noise : float
        Distance between two frames of a still scene, > 0.
    outside : array of shape (n,), optional
        Squared distance of each frame from the space of the points, where the coordinates do not
        tell it: as far from each other as two directions at random are.

    Raises
    ------
    ValueError
        If `noise` is not above 0.

    Examples
    --------
    >>> effective_count(np.diag([1e3, 1e3, 1e3]), noise=1.0)
    3.0
    """
    if not noise > 0:
        msg = f"the distance that noise makes must be above 0, got {noise:g}"
        raise ValueError(msg)
    # The mean only serves the rounding: distances are differences of squared norms here.
    centred = points - points.mean(axis=0)
    own = np.square(centred, dtype=np.float64).sum(axis=1)
    beyond = np.zeros(len(points)) if outside is None else outside
    alike = 0.0
    for start in range(0, len(points), _ROWS):
        some = slice(start, start + _ROWS)
        products = centred[some] @ centred.T
        squares = np.maximum(own[some, None] + own - 2 * products, 0)
        squares += beyond[some, None] + beyond
        np.fill_diagonal(squares[:, start:], 0)
        alike += float(np.exp(-np.square(squares / (_SCALES * noise) ** 2)).sum())
    return len(points) ** 2 / alike
