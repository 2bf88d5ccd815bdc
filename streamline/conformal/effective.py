"""How many independent scores a correlated series is worth.

Scores of neighbouring frames are alike, so a rate estimated from ``n`` of them is as uncertain
as from ``n / tau`` independent ones, ``tau = 1 + 2 * sum of the autocorrelations``. The sum is
cut by Geyer's initial monotone sequence, and taken of the scores' ranks, which no single extreme
score sways.

C. J. Geyer, "Practical Markov Chain Monte Carlo", Statistical Science 7 (1992), section 3.3;
A. Vehtari et al., "Rank-normalization, folding, and localization", Bayesian Analysis 16 (2021).
"""

import numpy as np
import numpy.typing as npt

__all__ = ["effective_size"]

Doubles = npt.NDArray[np.float64]


def effective_size(scores: Doubles, /) -> float:
    """Effective number of independent scores in a series, in [1, n].

    It sees what the series shows: a drift slower than the whole recording it cannot.

    Parameters
    ----------
    scores : array of shape (n,)
        In order of time; not modified.

    Returns
    -------
    float
        1 if all are equal; at most n, also where neighbours alternate.
    """
    n = len(scores)
    ranks = _ranks(scores)
    covariances = _autocovariances(ranks - ranks.mean())
    if n < 4 or covariances[0] <= 0:
        return float(n if n < 4 else 1)
    pairs = covariances[: n - n % 2].reshape(-1, 2).sum(axis=1)
    positive = np.flatnonzero(pairs <= 0)
    pairs = pairs[: positive[0]] if len(positive) else pairs
    total = np.minimum.accumulate(pairs).sum() if len(pairs) else covariances[0] / 2
    times = 2 * total / covariances[0] - 1
    return float(np.clip(n / max(times, 1.0), 1, n))


def _ranks(scores: Doubles) -> Doubles:
    """Rank of each score, ties sharing the mean of theirs."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[places], np.float64)


def _autocovariances(centred: Doubles) -> Doubles:
    """Sum of products of all pairs so far apart, over n, by the Fourier transform."""
    n = len(centred)
    spectrum = np.fft.rfft(centred, 2 * n)
    products = np.fft.irfft(np.square(np.abs(spectrum)), 2 * n)[:n]
    return np.asarray(products / n, np.float64)
