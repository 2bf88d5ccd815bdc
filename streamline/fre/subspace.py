"""The subspace that normal frames span in feature space: FRE-PCA."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from streamline.fre.span import Solver, Span, span_of

__all__ = ["Subspace", "fit_subspace", "rank_for", "smaller_shares", "subspace_of"]

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]

_SHARES_FROM = 0.5
_SHARES_STEP = 0.005


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subspace:
    """Mean and leading principal directions of one layer's features over normal frames."""

    mean: npt.NDArray[np.float32]
    """Shape ``(d,)``."""

    directions: npt.NDArray[np.float32] | npt.NDArray[np.float16]
    """Shape ``(k, d)``: orthonormal rows, largest variance first."""

    singular_values: Doubles
    """Shape ``(m,)``, ``m >= k``: those of the centred frames, largest first. What was not kept
    is known from them, so a smaller share can be chosen later without the frames."""

    discarded: float = 0.0
    """Sum of the squares of further singular values, which a fit in bounded memory gave up."""

    @property
    def rank(self) -> int:
        """Number of directions kept."""
        return int(self.directions.shape[0])

    @property
    def encoder(self) -> npt.NDArray[np.float32] | npt.NDArray[np.float16]:
        """What makes coordinates of centred features: the directions."""
        return self.directions

    @property
    def decoder(self) -> npt.NDArray[np.float32] | npt.NDArray[np.float16]:
        """What makes centred features of coordinates: the directions again."""
        return self.directions

    @property
    def retained(self) -> float:
        """Share of the variance that the kept directions hold, in (0, 1]."""
        variance = np.square(self.singular_values)
        return float(variance[: self.rank].sum() / (variance.sum() + self.discarded))

    def reduced(self, *, retain: float) -> "Subspace":
        """Keep only as many of the directions as a smaller share of the variance needs.

        Parameters
        ----------
        retain : float
            Share of the variance to keep, in (0, 1]; if it needs more directions than there
            are, all are kept.
        """
        rank = rank_for(
            np.square(self.singular_values),
            retain=retain,
            max_rank=self.rank,
            discarded=self.discarded,
        )
        return replace(self, directions=self.directions[:rank])


def rank_for(
    variances: Doubles, /, *, retain: float, max_rank: int | None = None, discarded: float = 0.0
) -> int:
    """Smallest number of leading directions that hold a share of the variance.

    Parameters
    ----------
    variances : array of shape (m,)
        Largest first, all > 0.
    retain : float
        Share of the whole to keep, in (0, 1].
    max_rank : int, optional
        Never more than this many.
    discarded : float
        What further directions hold that are not listed.

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
    share = np.cumsum(variances) / (variances.sum() + discarded)
    # share[k - 1] is what k directions hold, hence the + 1: an index is not yet a count.
    rank = int(np.searchsorted(share, retain - 1e-12)) + 1
    return min(rank, len(variances), max_rank or rank)


def smaller_shares(retain: float, /) -> list[float]:
    """Shares of the variance that a fit with share `retain` can be reduced to, largest first.

    Examples
    --------
    >>> smaller_shares(0.517)
    [0.517, 0.515, 0.51, 0.505, 0.5]
    """
    count = int(np.floor((retain - _SHARES_FROM) / _SHARES_STEP - 1e-9))
    steps = [round(_SHARES_FROM + _SHARES_STEP * step, 3) for step in range(count, -1, -1)]
    return [retain, *steps]


def fit_subspace(
    features: Floats,
    /,
    *,
    retain: float,
    max_rank: int | None = None,
    solver: Solver = "gram",
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
    solver : {'gram', 'svd'}
        As for `span_of`.

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
    return subspace_of(span_of(features, solver=solver), retain=retain, max_rank=max_rank)


def subspace_of(span: Span, /, *, retain: float, max_rank: int | None = None) -> Subspace:
    """Take the leading axes of frames; see `fit_subspace`."""
    rank = rank_for(span.variances, retain=retain, max_rank=max_rank, discarded=span.discarded)
    return Subspace(
        mean=span.mean,
        directions=span.lift(np.eye(rank, len(span.variances))),
        singular_values=np.sqrt(span.variances),
        discarded=span.discarded,
    )
