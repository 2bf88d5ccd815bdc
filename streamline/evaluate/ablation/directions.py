"""How well principal directions are told: gaps between eigenvalues, angles to what is learnt."""

import numpy as np
import numpy.typing as npt

__all__ = ["eigenvalue_gap", "largest_angle"]


def eigenvalue_gap(variances: npt.NDArray[np.float64], at: int, rank: int, /) -> float | None:
    """Compare an eigenvalue that is kept with the first that is not.

    Parameters
    ----------
    variances : array of shape (m,)
        Largest first.
    at : int
        Which one, counted from 1.
    rank : int
        How many are kept; None is returned if all are.

    Examples
    --------
    >>> eigenvalue_gap(np.array([8.0, 4.0, 2.0]), 1, 2)
    4.0
    """
    return float(variances[at - 1] / variances[rank]) if rank < len(variances) else None


def largest_angle(
    directions: npt.NDArray[np.floating], learnt: npt.NDArray[np.floating], /
) -> float:
    """Largest principal angle between directions and the space that a decoder spans.

    Parameters
    ----------
    directions : array of shape (j, d)
        Orthonormal rows.
    learnt : array of shape (k, d)
        Independent rows, at least as many.

    Returns
    -------
    float
        Degrees: 0 if the space holds all directions, 90 if one is at right angles to it.

    Examples
    --------
    >>> largest_angle(np.array([[1.0, 0.0]]), np.array([[2.0, 2.0]]))
    45.0
    """
    basis = np.linalg.qr(learnt.T.astype(np.float64))[0]
    # By what lies outside: the cosine of a small angle is 1 to all digits.
    outside = directions - (directions @ basis) @ basis.T
    sine = float(np.sqrt(np.linalg.eigvalsh(outside @ outside.T)[-1].clip(0, 1)))
    return round(float(np.degrees(np.arcsin(sine))), 6)
