"""Orthogonal matching pursuit of several frames at once, from inner products alone.

Frame ``y`` is to be ``X c`` with few coefficients; ``X`` holds the bank's frames as columns.
All that the choice of a column and the least squares on those chosen need is the Gram matrix
``XᵀX``, the products ``Xᵀy`` and ``‖y‖²``: an iteration costs ``O(k n)`` and touches no feature.

R. Rubinstein, M. Zibulevsky, M. Elad, "Efficient Implementation of the K-SVD Algorithm using
Batch Orthogonal Matching Pursuit", Technion CS-2008-08: its progressive Cholesky factor is held
here with a column for every frame of the bank, not only for those chosen, so that a further
one costs a product and no solution of a triangular system.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_STEPS", "Pursuit", "gram_of", "orthogonal_matching_pursuit"]

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MOST_STEPS = 512
"""Columns that may be chosen for a frame: a row as long as the bank is kept for each."""

_DEPENDENT = 16 * float(np.finfo(np.float32).eps)
"""A column that keeps less of its squared norm beside those chosen is a combination of them:
what it has left is the rounding of products of float32 features."""

_CHUNK = 8192
"""Features multiplied in float32 before their sum goes on in float64."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pursuit:
    """What was chosen for each of b frames, in at most k steps."""

    support: npt.NDArray[np.intp]
    """Shape ``(b, k)``: columns in the order they were chosen; -1 from where it stopped early."""

    coefficients: Doubles
    """Shape ``(b, k)``: of those columns, by least squares; 0 where there is none."""

    squared_errors: Doubles
    """Shape ``(b, k + 1)``: ``‖y - X c‖²`` with none, one, … k columns."""

    @property
    def errors(self) -> Doubles:
        """Shape ``(b,)``: ``‖y - X c‖`` in the end."""
        return np.asarray(np.sqrt(self.squared_errors[:, -1]), np.float64)

    def chosen(self, n: int, /) -> Bools:
        """Tell which of the bank's `n` columns each frame chose, shape ``(b, n)``."""
        marks = np.zeros((len(self.support), n), np.bool_)
        frames, steps = np.nonzero(self.support >= 0)
        marks[frames, self.support[frames, steps]] = True
        return marks


def gram_of(features: Floats, /) -> Doubles:
    """Inner products of all pairs of frames.

    Parameters
    ----------
    features : array of shape (n, d)
        One row per frame; not modified.

    Returns
    -------
    array of shape (n, n)
        Symmetric, float64; of float32 features right to a few parts in ten million.
    """
    n, d = features.shape
    gram = np.zeros((n, n))
    for start in range(0, d, _CHUNK):
        part = features[:, start : start + _CHUNK]
        gram += part @ part.T
    return gram


def orthogonal_matching_pursuit(
    gram: Doubles,
    products: Doubles,
    energies: Doubles,
    /,
    *,
    sparsity: int,
    tolerance: float = 0.0,
    candidates: Bools | None = None,
) -> Pursuit:
    """Choose columns one by one, the next being that most aligned with what is left.

    With the columns chosen so far made orthonormal, ``q_1 … q_k``, row i of the factor is
    ``q_iᵀX``. The next column j, ``argmax |x_jᵀe| / ‖x_j‖``, less its share of the rows, is the
    next row times ``r = ‖x_j - Σ q_i q_iᵀx_j‖``; then ``q_kᵀy = x_jᵀe / r``, and the products
    ``Xᵀe`` and the error lose that direction. At the end ``R c = Qᵀy`` on the support.

    Parameters
    ----------
    gram : array of shape (n, n)
        ``XᵀX``; not modified, as all arguments.
    products : array of shape (b, n)
        ``Xᵀy`` of each frame.
    energies : array of shape (b,)
        ``‖y‖²`` of each frame.
    sparsity : int
        Most columns to choose, >= 1.
    tolerance : float
        Stop when ``‖e‖`` is not above it.
    candidates : array of shape (b, n), optional
        Columns that each frame may choose; all if not given.

    Raises
    ------
    ValueError
        If `sparsity` is out of range.

    Examples
    --------
    >>> columns = np.array([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> frame = np.array([[3.0, 4.0]])
    >>> found = orthogonal_matching_pursuit(
    ...     columns @ columns.T, frame @ columns.T, np.array([25.0]), sparsity=2)
    >>> found.support.tolist(), found.coefficients.round(6).tolist()
    ([[2, 1]], [[3.0, 0.5]])
    """
    if sparsity < 1:
        msg = f"at least 1 column must be chosen, got {sparsity}"
        raise ValueError(msg)
    steps = min(sparsity, len(gram))
    state = _State(gram, products, energies, steps, candidates)
    for step in range(steps):
        state.choose(step, tolerance)
    return state.solved()


class _State:
    """The pursuits of b frames, in step."""

    def __init__(
        self,
        gram: Doubles,
        products: Doubles,
        energies: Doubles,
        steps: int,
        candidates: Bools | None,
    ) -> None:
        frames, n = products.shape
        self._gram = gram
        self._own = np.diagonal(gram)
        self._each = np.arange(frames)
        self._left = products.astype(np.float64)
        """``Xᵀe``, shape (b, n)."""
        self._rows = np.zeros((frames, steps, n))
        self._along = np.zeros((frames, steps))
        """``Qᵀy``, shape (b, k)."""
        self._support = np.full((frames, steps), -1, np.intp)
        self._errors = np.empty((frames, steps + 1))
        self._errors[:, 0] = energies
        self._going = np.ones(frames, np.bool_)
        # A column that may not be chosen weighs nothing; a chosen one no longer does.
        self._weights = np.zeros((frames, n))
        usable = self._own > 0
        self._weights[:, usable] = 1 / np.sqrt(self._own[usable])
        if candidates is not None:
            self._weights[~candidates] = 0

    def choose(self, step: int, tolerance: float) -> None:
        """Take one more column for each frame that goes on."""
        strength = np.abs(self._left) * self._weights
        chosen = strength.argmax(axis=1)
        self._going &= self._errors[:, step] > tolerance**2
        self._going &= strength[self._each, chosen] > 0
        above = self._rows[:, :step]
        shares = above[self._each, :, chosen]
        row = self._gram[chosen] - np.matmul(shares[:, None, :], above)[:, 0]
        squares = row[self._each, chosen]
        self._going &= squares > _DEPENDENT * self._own[chosen]
        row *= np.where(self._going, 1 / np.sqrt(np.where(self._going, squares, 1)), 0)[:, None]
        # Its own entry is the root of what it was divided by; where it stopped all are 0.
        along = np.where(self._going, self._left[self._each, chosen], 0)
        along = np.divide(
            along, row[self._each, chosen], out=np.zeros_like(along), where=self._going
        )
        self._left -= along[:, None] * row
        self._rows[:, step], self._along[:, step] = row, along
        self._errors[:, step + 1] = np.maximum(self._errors[:, step] - along**2, 0)
        self._support[self._going, step] = chosen[self._going]
        self._weights[self._each[self._going], chosen[self._going]] = 0

    def solved(self) -> Pursuit:
        """Solve the triangular systems ``R c = Qᵀy``, one per frame."""
        steps = self._support.shape[1]
        there = self._support >= 0
        columns = np.where(there, self._support, 0)
        factor = np.take_along_axis(self._rows, columns[:, None, :], axis=2)
        # What is not there gets an equation of its own: 1 · c = 0.
        factor *= there[:, None, :]
        factor[~there[:, :, None] & np.eye(steps, dtype=np.bool_)] = 1
        solved = np.linalg.solve(factor, self._along[:, :, None])
        return Pursuit(
            support=self._support,
            coefficients=np.asarray(solved[:, :, 0], np.float64),
            squared_errors=self._errors,
        )
