"""The largest load that is still borne."""

from collections.abc import Callable

__all__ = ["largest"]


def largest(bears: Callable[[int], bool], *, most: int = 4096) -> int:
    """Return the largest number from 1 on that is borne, by doubling, then bisection; 0 if none.

    Parameters
    ----------
    bears : callable
        Tries one number; what is more than one that is not borne is taken not to be.
    most : int
        Nothing above is tried.

    Examples
    --------
    >>> tried = []
    >>> largest(lambda n: tried.append(n) or n <= 11)
    11
    >>> tried
    [1, 2, 4, 8, 16, 12, 10, 11]
    """
    good, bad = 0, 1
    while bad <= most and bears(bad):
        good, bad = bad, 2 * bad
    bad = min(bad, most + 1)
    while bad - good > 1:
        middle = (good + bad) // 2
        if bears(middle):
            good = middle
        else:
            bad = middle
    return good
