"""Exact upper confidence limits of a rate from a count, by bisection of the distribution.

C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case
of the binomial", Biometrika 26 (1934); F. Garwood, "Fiducial limits for the Poisson
distribution", Biometrika 28 (1936).
"""

import math
from collections.abc import Callable

__all__ = ["binomial_upper", "poisson_upper"]


def binomial_upper(events: int, n: int, /, *, confidence: float) -> float:
    """Largest probability that still gives so few events of `n` trials with 1 - `confidence`.

    Parameters
    ----------
    events : int
        In [0, n].
    n : int
        Independent trials, at least 1.

    Examples
    --------
    >>> round(binomial_upper(0, 10, confidence=0.95), 4)
    0.2589
    """
    if events >= n:
        return 1.0
    return _crossing(lambda p: _binomial_at_most(events, n, p), 1.0, 1 - confidence)


def poisson_upper(events: int, /, *, confidence: float) -> float:
    """Largest mean that still gives so few events with probability 1 - `confidence`.

    Examples
    --------
    >>> round(poisson_upper(0, confidence=0.95), 4)
    2.9957
    """
    # Far above any limit: ten standard deviations and more.
    most = events + 12 * math.sqrt(events + 1) + 24
    return _crossing(lambda mean: _poisson_at_most(events, mean), most, 1 - confidence)


def _crossing(falling: Callable[[float], float], high: float, level: float) -> float:
    """Find where a falling function of [0, high] comes down to a level."""
    low = 0.0
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if falling(middle) > level else (low, middle)
    return high


def _binomial_at_most(events: int, n: int, p: float) -> float:
    """Sum the terms from the largest down: ``C(n, i) p^i (1-p)^(n-i)`` for i = events … 0."""
    odds = (1 - p) / p
    log_term = (
        math.lgamma(n + 1)
        - math.lgamma(events + 1)
        - math.lgamma(n - events + 1)
        + events * math.log(p)
        + (n - events) * math.log1p(-p)
    )
    return _summed(log_term, events, lambda i: odds * i / (n - i + 1))


def _poisson_at_most(events: int, mean: float) -> float:
    log_term = events * math.log(mean) - mean - math.lgamma(events + 1)
    return _summed(log_term, events, lambda i: i / mean)


def _summed(log_term: float, events: int, ratio: Callable[[int], float]) -> float:
    """Add up the terms of `events`, events - 1, … 0, each by its ratio to the one before."""
    total = term = 1.0
    for i in range(events, 0, -1):
        term *= ratio(i)
        total += term
        if term < 1e-18 * total:
            break
    return math.exp(log_term + math.log(total))
