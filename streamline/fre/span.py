"""Frames as points of the space that they span: what a fit, a threshold and a training work on.

With ``n`` frames of ``d`` features and ``n`` far below ``d``, the ``(n, n)`` Gram matrix of the
centred frames has the eigenvalues of the ``(d, d)`` covariance (times ``n``) and leads to its
eigenvectors; the covariance itself, at ``d`` in the hundred thousands, is never formed. Where
``d`` is the smaller, the covariance is.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from streamline.fre.algebra import HOST, Algebra, require_finite, require_frames

__all__ = [
    "Points",
    "Solver",
    "Span",
    "Spectrum",
    "decompose",
    "span_of",
]

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]

Solver = Literal["gram", "svd"]
"""gram: eigenvectors of the smaller product matrix, in bounded copies; svd: the singular value
decomposition of all centred frames in float64, more exact in the smallest values, slower."""

_CHUNK_BYTES = 32 << 20


class Points(Protocol):
    """Frames along their own principal axes: all that a training needs of them."""

    @property
    def coordinates(self) -> Floats:
        """Shape ``(n, m)``, of mean zero; see `Span`."""
        ...

    @property
    def variances(self) -> Doubles:
        """Shape ``(m,)``: sum of squares along each axis, largest first, > 0."""
        ...

    @property
    def discarded(self) -> float:
        """Sum of squares along axes that are not there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Span:
    """Frames written along their principal axes; distances between them are kept."""

    mean: npt.NDArray[np.float32]
    """Shape ``(d,)``: the mean frame."""

    coordinates: Floats
    """Shape ``(n, m)``: each frame less the mean, along orthonormal axes by falling variance."""

    outside: Doubles
    """Shape ``(n,)``: squared distance of each frame from the axes; 0 if all axes were kept."""

    variances: Doubles
    """Shape ``(m,)``: sum of squares along each axis, > 0."""

    discarded: float
    """Sum of squares along axes that were given up to bound the memory."""

    energy: float
    """Sum of squares of the frames before centring: says what counts as no variation."""

    rows: Floats
    """Shape ``(p, d)``: frames or axes, of which `weights` makes the axes."""

    weights: Doubles | None
    """Shape ``(m, p)``: each axis as a sum of centred `rows`; None if they are the axes."""

    algebra: Algebra = HOST
    """What multiplies them."""

    def lift(self, vectors: Floats, /) -> npt.NDArray[np.float32]:
        """Write vectors of the space as features.

        Parameters
        ----------
        vectors : array of shape (k, m)
            Not modified.

        Returns
        -------
        array of shape (k, d)
        """
        weights = vectors if self.weights is None else vectors @ self.weights
        lifted = np.empty((len(vectors), self.rows.shape[1]), np.float32)
        self.algebra.combine(
            np.asarray(weights, np.float64),
            self.rows,
            centred=self.weights is not None,
            out=lifted,
        )
        return lifted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spectrum:
    """Eigen-decomposition of a centred Gram or covariance matrix, null directions removed."""

    variances: Doubles
    """Shape ``(m,)``: eigenvalues, i.e. squared singular values, largest first, all > 0."""

    vectors: Doubles
    """Shape ``(n, m)``: orthonormal columns."""


def span_of(features: Floats, /, *, solver: Solver = "gram", algebra: Algebra = HOST) -> Span:
    """Find the principal axes of frames, and the frames' places on them.

    Parameters
    ----------
    features : array of shape (n, d)
        One row per frame; not modified, but referred to by the result.
    solver : {'gram', 'svd'}
        How. By the Gram matrix no more than ``n²`` or ``d²`` doubles are made, by the singular
        value decomposition twice ``n d``.
    algebra : Algebra
        What multiplies and decomposes by the Gram matrix of frames; all else NumPy does.

    Raises
    ------
    ValueError
        If there are fewer than two rows, no columns, a value that is no finite number, or the
        frames do not differ.
    """
    if solver == "svd":
        return _by_singular_values(features)
    if features.shape[0] > features.shape[1]:
        return _by_covariance(features)
    return _by_gram(features, algebra)


def _by_gram(features: Floats, algebra: Algebra) -> Span:
    gram = algebra.gram(features)
    spectrum = decompose(gram.products, energy=gram.energy, algebra=algebra)
    singular = np.sqrt(spectrum.variances)
    return Span(
        mean=gram.mean,
        coordinates=spectrum.vectors * singular,
        outside=np.zeros(len(features)),
        variances=spectrum.variances,
        discarded=0.0,
        energy=gram.energy,
        rows=features,
        weights=(spectrum.vectors / singular).T,
        algebra=algebra,
    )


def _by_covariance(features: Floats) -> Span:
    require_frames(features)
    mean = features.mean(axis=0, dtype=np.float64)
    products = np.zeros((len(mean), len(mean)))
    energy = 0.0
    step = max(1, _CHUNK_BYTES // (8 * len(mean)))
    for start in range(0, len(features), step):
        wide = features[start : start + step].astype(np.float64)
        energy += float(np.vdot(wide, wide))
        wide -= mean
        products += wide.T @ wide
    require_finite(energy)
    spectrum = decompose(products, energy=energy)
    axes = spectrum.vectors.T
    return _along(axes, features - mean, mean, spectrum.variances, energy)


def _by_singular_values(features: Floats) -> Span:
    require_frames(features)
    wide = features.astype(np.float64)
    energy = float(np.vdot(wide, wide))
    require_finite(energy)
    mean = wide.mean(axis=0)
    wide -= mean
    _, singular, axes = np.linalg.svd(wide, full_matrices=False)
    _require_variation(float(np.square(singular).sum()), energy)
    kept = singular > singular[0] * max(wide.shape) * np.finfo(np.float64).eps
    return _along(axes[kept], wide, mean, np.square(singular[kept]), energy)


def _along(
    axes: Doubles, centred: Doubles, mean: Doubles, variances: Doubles, energy: float
) -> Span:
    return Span(
        mean=mean.astype(np.float32),
        coordinates=centred @ axes.T,
        outside=np.zeros(len(centred)),
        variances=variances,
        discarded=0.0,
        energy=energy,
        rows=axes,
        weights=None,
    )


def decompose(products: Doubles, /, *, energy: float, algebra: Algebra = HOST) -> Spectrum:
    """Eigenvalues and eigenvectors of a centred Gram or covariance matrix, largest first.

    Parameters
    ----------
    products : array of shape (n, n) or (d, d)
        Sums of products of centred frames: of pairs of frames or of pairs of features.
    energy : float
        Sum of squares of the frames, which says what counts as no variation at all.
    algebra : Algebra
        What decomposes it.

    Raises
    ------
    ValueError
        If the frames do not differ beyond the rounding of float32 features.
    """
    variances, vectors = algebra.eigh(products)
    variances, vectors = variances[::-1], vectors[:, ::-1]
    _require_variation(float(variances.clip(0).sum()), energy)
    # Below this an eigenvalue is rounding of the decomposition, its vector arbitrary.
    kept = variances > variances[0] * len(products) * np.finfo(np.float64).eps * 8
    return Spectrum(variances=variances[kept].copy(), vectors=vectors[:, kept].copy())


def _require_variation(total: float, energy: float) -> None:
    if total <= np.finfo(np.float32).eps ** 2 * energy:
        msg = "the frames do not differ from one another: nothing can be learnt from them"
        raise ValueError(msg)
