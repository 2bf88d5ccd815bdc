"""The threshold: how high scores of normal frames reach that the fit has not seen.

Every frame is scored by a subspace fitted to the other blocks of the recording, computed from
the Gram matrix alone, so all frames serve both the fit and the threshold. Blocks are
contiguous, and the neighbours of the held-out block are left out of its fit, because
neighbouring frames of a video are near copies.

R. F. Barber et al., "Predictive inference with the jackknife+", Annals of Statistics 49 (2021),
section on CV+; V. Vovk, "Cross-conformal predictors", AMAI 74 (2015).
"""

import math

import numpy as np
import numpy.typing as npt

from streamline.fre.subspace import decompose, rank_for

__all__ = [
    "conformal_threshold",
    "contiguous_blocks",
    "crossfit_errors",
    "require_support",
    "smallest_alpha",
]

Doubles = npt.NDArray[np.float64]


def smallest_alpha(n: int, /) -> float:
    """Smallest false-alarm rate that `n` held-out normal scores can bound: ``1 / (n + 1)``."""
    if n < 1:
        msg = "a threshold needs at least 1 held-out score"
        raise ValueError(msg)
    return 1 / (n + 1)


def conformal_threshold(scores: Doubles, /, *, alpha: float) -> float:
    """Score that a further normal frame exceeds with probability at most `alpha`.

    The ``ceil((n + 1)(1 - alpha))``-th smallest score: exact for exchangeable frames.

    Parameters
    ----------
    scores : array of shape (n,)
        Of normal frames the fit has not seen.
    alpha : float
        False-alarm rate per frame, in (0, 1).

    Raises
    ------
    ValueError
        If `alpha` is out of range, or `n` is too small for it.

    Examples
    --------
    >>> conformal_threshold(np.arange(1.0, 100.0), alpha=0.05)
    95.0
    """
    require_support(len(scores), alpha=alpha)
    return float(np.sort(scores)[max(_order(len(scores), alpha), 1) - 1])


def require_support(n: int, /, *, alpha: float) -> None:
    """Check that `n` held-out scores can bound a false-alarm rate.

    Raises
    ------
    ValueError
        If `alpha` is out of range, or `n` is too small for it; says how many it takes.
    """
    if not 0 < alpha < 1:
        msg = f"the false-alarm rate must be in (0, 1), got {alpha:g}"
        raise ValueError(msg)
    if _order(n, alpha) > n:
        needed = math.ceil(1 / alpha - 1e-9) - 1
        msg = (
            f"a false-alarm rate of {alpha:g} per frame needs at least {needed} normal frames, "
            f"got {n}; the smallest rate {n} frames support is {smallest_alpha(n):.2g}"
        )
        raise ValueError(msg)


def _order(n: int, alpha: float) -> int:
    # The tolerance keeps (n + 1)(1 - 1/(n + 1)) = n from being rounded up to n + 1.
    return math.ceil((n + 1) * (1 - alpha) - 1e-9)


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
    gram: Doubles,
    /,
    *,
    blocks: list[slice],
    gap: int,
    retain: float,
    max_rank: int | None = None,
    energy: float = 0.0,
) -> Doubles:
    """Reconstruction error of each frame by the subspace of the other blocks.

    With ``T`` the frames fitted to, ``G`` the Gram matrix centred on the mean of ``T`` and
    ``G_TT = U S² Uᵀ``, frame ``x`` projects on direction ``i`` as ``(G_xT U_i) / S_i``; hence
    ``‖e‖² = G_xx - Σ_i (G_xT U_i)² / S_i²`` and no feature vector is touched.

    Parameters
    ----------
    gram : array of shape (n, n)
        Inner products of the frames, centred anywhere.
    blocks : list of slice
        The held-out runs; together they cover all frames.
    gap : int
        Frames left out of the fit on either side of the held-out block.
    retain, max_rank
        As for `fit_subspace`.
    energy : float
        As for `decompose`.

    Returns
    -------
    array of shape (n,)
        Errors, >= 0.

    Raises
    ------
    ValueError
        If a block leaves fewer than two frames, or frames that do not differ.
    """
    errors = np.empty(len(gram))
    for block in blocks:
        fitted = np.ones(len(gram), bool)
        fitted[max(block.start - gap, 0) : block.stop + gap] = False
        if fitted.sum() < 2:
            msg = f"{len(gram)} frames are too few to hold out {block.stop - block.start}"
            raise ValueError(msg)
        errors[block] = _heldout_errors(
            gram, block, np.flatnonzero(fitted), retain=retain, max_rank=max_rank, energy=energy
        )
    return errors


def _heldout_errors(
    gram: Doubles,
    block: slice,
    fitted: npt.NDArray[np.intp],
    *,
    retain: float,
    max_rank: int | None,
    energy: float,
) -> Doubles:
    """Errors of one block by the subspace of the frames in `fitted`."""
    inner = gram[np.ix_(fitted, fitted)]
    cross = gram[block, fitted]
    # Move the origin to the mean of the fitted frames: (x - m)·(y - m) by rows and columns.
    inner_mean = inner.mean(axis=0)
    cross_mean = cross.mean(axis=1)
    origin = inner_mean.mean()
    own = np.diagonal(gram)[block] - 2 * cross_mean + origin
    cross = cross - cross_mean[:, None] - inner_mean + origin
    inner = inner - inner_mean - inner_mean[:, None] + origin
    spectrum = decompose(inner, energy=energy)
    rank = rank_for(spectrum.variances, retain=retain, max_rank=max_rank)
    along = cross @ spectrum.vectors[:, :rank] / np.sqrt(spectrum.variances[:rank])
    return np.asarray(np.sqrt(np.maximum(own - np.square(along).sum(axis=1), 0)), np.float64)
