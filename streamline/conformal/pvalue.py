"""p-values from held-out normal scores, and the threshold that a false-alarm rate stands for.

With ``n`` held-out normal scores, the p-value of a score ``s`` is
``p = (1 + #{held-out >= s}) / (n + 1)``. If the frame is normal too, and exchangeable with those
held out, ``p <= alpha`` has probability at most ``alpha``, whatever the scores' distribution.

V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World" (2005), chapter 2;
J. Lei et al., "Distribution-free predictive inference for regression", JASA 113 (2018), for the
split form.
"""

import math
from bisect import bisect_left

import numpy as np
import numpy.typing as npt

__all__ = ["ConformalTest", "conformal_threshold", "require_support", "smallest_alpha"]

Doubles = npt.NDArray[np.float64]


def smallest_alpha(n: int, /) -> float:
    """Smallest false-alarm rate that `n` held-out normal scores can bound: ``1 / (n + 1)``."""
    if n < 1:
        msg = "a threshold needs at least 1 held-out score"
        raise ValueError(msg)
    return 1 / (n + 1)


def conformal_threshold(scores: Doubles, /, *, alpha: float) -> float:
    """Score that a further normal frame exceeds with probability at most `alpha`.

    The ``ceil((n + 1)(1 - alpha))``-th smallest score: exactly the scores above it have a p-value
    of at most `alpha`.

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


class ConformalTest:
    """Tests one score after the other for being normal.

    Parameters
    ----------
    scores : array of shape (n,)
        Of normal frames that were held out, in any order; not modified.
    alpha : float
        False-alarm rate per frame, in (0, 1).

    Raises
    ------
    ValueError
        If `alpha` is out of range, or `n` is too small for it.

    Examples
    --------
    >>> test = ConformalTest(np.arange(1.0, 100.0), alpha=0.05)
    >>> test.threshold, test.p_value(95.0), test.p_value(95.5)
    (95.0, 0.06, 0.05)
    """

    __slots__ = ("_scores", "alpha", "threshold")

    def __init__(self, scores: Doubles, /, *, alpha: float) -> None:
        self.alpha = alpha
        self.threshold = conformal_threshold(scores, alpha=alpha)
        """Exactly the scores above it have a p-value of at most `alpha`."""

        # A list is searched several times as fast as an array, for every frame of a line.
        self._scores: list[float] = np.sort(scores).tolist()

    @property
    def n(self) -> int:
        """Scores that were held out."""
        return len(self._scores)

    def p_value(self, score: float) -> float:
        """Probability at most that a normal frame scores as high; in (0, 1].

        Raises
        ------
        ValueError
            If the score is NaN: a frame without a score is neither normal nor not.
        """
        if math.isnan(score):
            msg = "a frame without a score has no p-value"
            raise ValueError(msg)
        n = len(self._scores)
        return (1 + n - bisect_left(self._scores, score)) / (n + 1)

    def fails(self, score: float) -> bool:
        """Whether the p-value of a score is at most `alpha`."""
        return score > self.threshold
