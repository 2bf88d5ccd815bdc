"""Errors of frames by a fit that has not seen them, for all frames of the fit itself.

Every frame is judged by a fit to the other blocks of the recording, computed from coordinates
alone, so all frames serve both the fit and the calibration. Blocks are contiguous, and the
neighbours of the held-out block are left out of its fit, because neighbouring frames of a video
are near copies.

R. F. Barber et al., "Predictive inference with the jackknife+", Annals of Statistics 49 (2021),
section on CV+; V. Vovk, "Cross-conformal predictors", AMAI 74 (2015).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamline.fre.span import Span, decompose
from streamline.fre.subspace import rank_for

__all__ = [
    "Part",
    "contiguous_blocks",
    "crossfit_errors",
    "errors_left",
    "held_out",
]

Doubles = npt.NDArray[np.float64]


def contiguous_blocks(n: int, /, *, count: int) -> list[slice]:
    """Cut ``0 … n-1`` into `count` runs whose lengths differ by at most one.

    Raises
    ------
    ValueError
        If `count` is not between 2 and `n`.

    Examples
    --------
    >>> contiguous_blocks(7, count=3)
    [slice(0, 3, None), slice(3, 5, None), slice(5, 7, None)]
    """
    if not 2 <= count <= n:
        msg = f"{n} frames can be cut into 2 to {n} blocks, got {count}"
        raise ValueError(msg)
    short, longer = divmod(n, count)
    ends = np.cumsum([short + (i < longer) for i in range(count)]).tolist()
    return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def crossfit_errors(
    span: Span,
    /,
    *,
    blocks: list[slice],
    gap: int,
    shares: Sequence[float],
    max_rank: int | None = None,
) -> Doubles:
    """Reconstruction error of each frame by the subspaces of the other blocks.

    Subspaces of a part of the frames lie in the span of all, so all is done on coordinates and
    no feature vector is touched.

    Parameters
    ----------
    span : Span
        Of all frames.
    blocks : list of slice
        The held-out runs; together they cover all frames.
    gap : int
        Frames left out of the fit on either side of the held-out block.
    shares : sequence of float
        Shares of the variance to retain, one subspace for each.
    max_rank : int, optional
        As for `fit_subspace`.

    Returns
    -------
    array of shape (len(shares), n)
        Errors, >= 0.

    Raises
    ------
    ValueError
        If a block leaves fewer than two frames, or frames that do not differ.
    """
    errors = np.empty((len(shares), len(span.coordinates)))
    for block, fitted in held_out(len(span.coordinates), blocks=blocks, gap=gap):
        part = Part.of(span, fitted)
        ranks = [
            rank_for(part.variances, retain=share, max_rank=max_rank, discarded=part.discarded)
            for share in shares
        ]
        along, beyond = part.places(block)
        errors[:, block] = errors_left(np.square(along).sum(axis=1) + beyond, along, ranks)
    return errors


def errors_left(squares: Doubles, places: Doubles, ranks: Sequence[int], /) -> Doubles:
    """Compute what so many directions leave of frames.

    Parameters
    ----------
    squares : array of shape (n,)
        Squared distances of the frames from the mean.
    places : array of shape (n, m)
        The frames along orthonormal directions, at least the largest of `ranks`.
    ranks : sequence of int
        Numbers of directions, at least 1.

    Returns
    -------
    array of shape (len(ranks), n)
        Errors, >= 0.
    """
    explained = np.cumsum(np.square(places), axis=1)[:, np.array(ranks) - 1]
    left: Doubles = np.sqrt(np.maximum(squares[:, None] - explained, 0)).T
    return left


def held_out(
    n: int, /, *, blocks: list[slice], gap: int
) -> Iterator[tuple[slice, npt.NDArray[np.intp]]]:
    """Pair each block with the frames that the fit for it may see.

    Raises
    ------
    ValueError
        If those are fewer than two.
    """
    for block in blocks:
        fitted = np.ones(n, bool)
        fitted[max(block.start - gap, 0) : block.stop + gap] = False
        if fitted.sum() < 2:
            msg = f"{n} frames are too few to hold out {block.stop - block.start}"
            raise ValueError(msg)
        yield block, np.flatnonzero(fitted)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """The principal axes of a part of the frames, in the coordinates of all."""

    span: Span
    """Of all frames."""

    fitted: npt.NDArray[np.intp]
    """Which of them are the part."""

    mean: Doubles
    """Shape ``(m,)``."""

    variances: Doubles
    """Shape ``(q,)``: sum of the part's squares along each axis, largest first, > 0."""

    axes: Doubles
    """Shape ``(q, m)``, orthonormal."""

    @classmethod
    def of(cls, span: Span, fitted: npt.NDArray[np.intp], /) -> "Part":
        """Find the axes of some of a span's frames.

        Raises
        ------
        ValueError
            If they do not differ.
        """
        points = span.coordinates[fitted].astype(np.float64)
        mean = points.mean(axis=0)
        points -= mean
        energy = span.energy * len(fitted) / len(span.coordinates)
        if points.shape[0] > points.shape[1]:
            spectrum = decompose(points.T @ points, energy=energy, algebra=span.algebra)
            axes = spectrum.vectors.T
        else:
            spectrum = decompose(points @ points.T, energy=energy, algebra=span.algebra)
            axes = (spectrum.vectors / np.sqrt(spectrum.variances)).T @ points
        return cls(span=span, fitted=fitted, mean=mean, variances=spectrum.variances, axes=axes)

    @property
    def coordinates(self) -> Doubles:
        """Shape ``(len(fitted), q)``: the part's own frames along its axes."""
        return self.places(self.fitted)[0]

    @property
    def discarded(self) -> float:
        """Sum of the part's squares along axes that the span has given up."""
        return float(self.span.outside[self.fitted].sum())

    def places(self, frames: slice | npt.NDArray[np.intp], /) -> tuple[Doubles, Doubles]:
        """Write frames of the span along the part's axes.

        Returns
        -------
        along : array of shape (b, q)
            Coordinates.
        beyond : array of shape (b,)
            Squared distance from the space of the axes, >= 0.
        """
        points = self.span.coordinates[frames] - self.mean
        along = points @ self.axes.T
        beyond = np.square(points).sum(axis=1) - np.square(along).sum(axis=1)
        return along, np.maximum(beyond, 0) + self.span.outside[frames]
