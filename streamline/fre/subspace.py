"""The subspace that normal frames span in feature space, by the Gram matrix of the frames.

With ``n`` frames of ``d`` features and ``n`` far below ``d``, the ``(n, n)`` Gram matrix of the
centred frames has the eigenvalues of the ``(d, d)`` covariance (times ``n``) and leads to its
eigenvectors; the covariance itself, at ``d`` in the hundred thousands, is never formed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Spectrum", "Subspace", "centred_gram", "decompose", "fit_subspace", "rank_for"]

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]

_CHUNK_BYTES = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subspace:
    """Mean and leading principal directions of one layer's features over normal frames."""

    mean: npt.NDArray[np.float32]
    """Shape ``(d,)``."""

    directions: npt.NDArray[np.float32] | npt.NDArray[np.float16]
    """Shape ``(k, d)``: orthonormal rows, largest variance first."""

    singular_values: Doubles
    """Shape ``(m,)``, ``m >= k``: all that the centred frames have, largest first. What was
    not kept is known from them, so a smaller share can be chosen later without the frames."""

    @property
    def rank(self) -> int:
        """Number of directions kept."""
        return int(self.directions.shape[0])

    @property
    def retained(self) -> float:
        """Share of the variance that the kept directions hold, in (0, 1]."""
        variance = np.square(self.singular_values)
        return float(variance[: self.rank].sum() / variance.sum())

    def reduced(self, *, retain: float) -> "Subspace":
        """Keep only as many of the directions as a smaller share of the variance needs.

        Parameters
        ----------
        retain : float
            Share of the variance to keep, in (0, 1].

        Raises
        ------
        ValueError
            If more directions would be needed than are kept.
        """
        rank = rank_for(np.square(self.singular_values), retain=retain)
        if rank > self.rank:
            msg = (
                f"retaining {retain:g} of the variance needs {rank} directions, {self.rank} "
                f"were kept ({self.retained:.4g} of it); fit again with a larger share"
            )
            raise ValueError(msg)
        return Subspace(
            mean=self.mean,
            directions=self.directions[:rank],
            singular_values=self.singular_values,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spectrum:
    """Eigen-decomposition of a centred Gram matrix, null directions removed."""

    variances: Doubles
    """Shape ``(m,)``: eigenvalues, i.e. squared singular values, largest first, all > 0."""

    vectors: Doubles
    """Shape ``(n, m)``: orthonormal columns, one weight per frame."""


def centred_gram(features: Floats, /) -> tuple[Doubles, float]:
    """Inner products of all pairs of frames after the mean frame is taken off.

    Centres a bounded number of columns at a time in float64, so the copy never grows with
    `d`, and no precision is lost where the mean is much larger than the variation.

    Parameters
    ----------
    features : array of shape (n, d)
        One row per frame; not modified.

    Returns
    -------
    gram : array of shape (n, n)
        ``(x_i - mean) · (x_j - mean)``, float64.
    energy : float
        Mean squared norm of the frames before centring.

    Raises
    ------
    ValueError
        If there are fewer than two rows, no columns, or a value that is no finite number.
    """
    n, d = features.shape
    if n < 2 or d < 1:
        msg = f"a subspace needs at least 2 frames with 1 feature each, got shape ({n}, {d})"
        raise ValueError(msg)
    gram = np.zeros((n, n))
    energy = 0.0
    for part in _columns(features):
        wide = features[:, part].astype(np.float64)
        energy += float(np.vdot(wide, wide)) / n
        wide -= wide.mean(axis=0)
        gram += wide @ wide.T
    if not np.isfinite(energy):
        msg = "the features hold values that are no finite numbers"
        raise ValueError(msg)
    return gram, energy


def decompose(gram: Doubles, /, *, energy: float) -> Spectrum:
    """Eigenvalues and eigenvectors of a centred Gram matrix, largest first.

    Parameters
    ----------
    gram : array of shape (n, n)
        From `centred_gram`.
    energy : float
        Mean squared norm of the frames, which says what counts as no variation at all.

    Raises
    ------
    ValueError
        If the frames do not differ beyond the rounding of float32 features.
    """
    variances, vectors = np.linalg.eigh(gram)
    variances, vectors = variances[::-1], vectors[:, ::-1]
    rounding = np.finfo(np.float32).eps ** 2
    total = float(variances.clip(0).sum())
    if total <= rounding * energy * len(gram):
        msg = "the frames do not differ from one another: nothing can be learnt from them"
        raise ValueError(msg)
    # Below this an eigenvalue is rounding of the decomposition, its vector arbitrary.
    kept = variances > variances[0] * len(gram) * np.finfo(np.float64).eps * 8
    return Spectrum(variances=variances[kept].copy(), vectors=vectors[:, kept].copy())


def rank_for(variances: Doubles, /, *, retain: float, max_rank: int | None = None) -> int:
    """Smallest number of leading directions that hold a share of the variance.

    Parameters
    ----------
    variances : array of shape (m,)
        Largest first, all > 0.
    retain : float
        Share of their sum to keep, in (0, 1].
    max_rank : int, optional
        Never more than this many.

    Raises
    ------
    ValueError
        If `retain` or `max_rank` is out of range.

    Examples
    --------
    >>> rank_for(np.array([90.0, 9.0, 1.0]), retain=0.95)
    2
    >>> rank_for(np.array([99.0, 0.9, 0.1]), retain=0.95)
    1
    """
    if not 0 < retain <= 1:
        msg = f"the share of variance to retain must be in (0, 1], got {retain:g}"
        raise ValueError(msg)
    if max_rank is not None and max_rank < 1:
        msg = f"the largest rank must be at least 1, got {max_rank}"
        raise ValueError(msg)
    share = np.cumsum(variances) / variances.sum()
    # share[k - 1] is what k directions hold, hence the + 1: an index is not yet a count.
    rank = int(np.searchsorted(share, retain - 1e-12)) + 1
    return min(rank, len(variances), max_rank or rank)


def fit_subspace(
    features: Floats,
    /,
    *,
    retain: float,
    max_rank: int | None = None,
    spectrum: Spectrum | None = None,
) -> Subspace:
    """Fit the smallest principal subspace that retains a share of the variance.

    Parameters
    ----------
    features : array of shape (n, d)
        One row per frame; not modified.
    retain : float
        Share of the variance to keep, in (0, 1].
    max_rank : int, optional
        Keep no more directions than this.
    spectrum : Spectrum, optional
        Of the same features, where the caller has it already.

    Raises
    ------
    ValueError
        If an argument is out of range, there are fewer than two frames, or they do not differ.

    Examples
    --------
    >>> frames = np.array([[1.0, 5.0, 0.0], [3.0, 5.0, 0.0], [5.0, 5.0, 0.1]])
    >>> fitted = fit_subspace(frames, retain=0.9)
    >>> fitted.rank, [round(float(x), 3) for x in fitted.mean]
    (1, [3.0, 5.0, 0.033])
    """
    if spectrum is None:
        gram, energy = centred_gram(features)
        spectrum = decompose(gram, energy=energy)
    rank = rank_for(spectrum.variances, retain=retain, max_rank=max_rank)
    weights = spectrum.vectors[:, :rank] / np.sqrt(spectrum.variances[:rank])
    d = features.shape[1]
    mean = np.empty(d, np.float32)
    directions = np.empty((rank, d), np.float32)
    for part in _columns(features):
        wide = features[:, part].astype(np.float64)
        centre = wide.mean(axis=0)
        mean[part] = centre
        wide -= centre
        directions[:, part] = weights.T @ wide
    return Subspace(mean=mean, directions=directions, singular_values=np.sqrt(spectrum.variances))


def _columns(features: Floats) -> Iterator[slice]:
    n, d = features.shape
    step = max(1, _CHUNK_BYTES // (8 * n))
    return (slice(start, min(start + step, d)) for start in range(0, d, step))
