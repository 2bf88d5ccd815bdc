"""How well few frames of the bank represent one that is not in it, by who chose them.

The method's claim (section IV-C2, figure 6) is that combinations of the frames that matching
pursuit chooses come nearer to an unseen normal frame than its neighbours do. Beside it stand
the choices that other memory banks make: at random, and a coreset that covers the bank.

Everything here needs inner products only: `gram_of` the bank, products with the frames, and
their squared norms.
"""

import numpy as np
import numpy.typing as npt

__all__ = [
    "coreset_columns",
    "nearest_columns",
    "nearest_errors",
    "random_columns",
    "subspace_errors",
]

Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


def random_columns(n: int, count: int, /, *, generator: np.random.Generator) -> Indices:
    """Choose `count` of `n` frames at random, none twice; shape ``(count,)``."""
    return generator.choice(n, size=count, replace=False).astype(np.intp)


def coreset_columns(gram: Doubles, count: int, /) -> Indices:
    """Choose frames that cover the bank: each next one is the farthest from all chosen.

    k-centre greedy (O. Sener, S. Savarese, "Active Learning for Convolutional Neural Networks:
    A Core-Set Approach", ICLR 2018, algorithm 1), begun with the frame nearest to the mean.

    Parameters
    ----------
    gram : array of shape (n, n)
        Inner products of the bank's frames.
    count : int
        At most n.

    Returns
    -------
    array of shape (count,)
        In the order they were chosen.

    Examples
    --------
    >>> places = np.array([[0.0], [1.0], [10.0], [4.0]])
    >>> coreset_columns(places @ places.T, 3).tolist()
    [3, 2, 0]
    """
    own = np.diagonal(gram)
    chosen = np.empty(count, np.intp)
    # Distance to the mean, less what all have in common.
    chosen[0] = int(np.argmin(own - 2 * gram.mean(axis=1)))
    apart = np.full(len(gram), np.inf)
    for step in range(1, count):
        last = chosen[step - 1]
        apart = np.minimum(apart, own + own[last] - 2 * gram[last])
        apart[last] = -np.inf
        chosen[step] = int(apart.argmax())
    return chosen


def nearest_columns(gram: Doubles, products: Doubles, count: int, /) -> Indices:
    """Choose the bank's frames nearest to each frame, nearest first; shape ``(b, count)``.

    Parameters
    ----------
    gram : array of shape (n, n)
        Inner products of the bank's frames.
    products : array of shape (b, n)
        Inner products of the frames with the bank's.
    """
    distances = np.diagonal(gram) - 2 * products
    return np.argsort(distances, axis=1, kind="stable")[:, :count]


def nearest_errors(
    gram: Doubles, products: Doubles, energies: Doubles, columns: Indices, /
) -> Doubles:
    """Distance of each frame to the nearest of some of the bank's: matching, not combining.

    Parameters
    ----------
    gram, products
        As for `nearest_columns`.
    energies : array of shape (b,)
        Squared norms of the frames.
    columns : array of shape (p,) or (b, p)
        The bank's frames to look at, the same for all or each frame's own.

    Returns
    -------
    array of shape (b,)
        ``min_j ‖y - x_j‖``.
    """
    own = np.broadcast_to(columns, (len(products), columns.shape[-1]))
    squares = np.diagonal(gram)[own] - 2 * np.take_along_axis(products, own, axis=1)
    return np.asarray(np.sqrt(np.maximum(energies + squares.min(axis=1), 0)), np.float64)


def subspace_errors(
    gram: Doubles, products: Doubles, energies: Doubles, columns: Indices, /
) -> Doubles:
    """Distance of each frame to the span of some of the bank's frames, by least squares.

    Parameters
    ----------
    gram, products, energies, columns
        As for `nearest_errors`.

    Returns
    -------
    array of shape (b,)
        ``min_c ‖y - X_S c‖``.
    """
    own = np.broadcast_to(columns, (len(products), columns.shape[-1]))
    squares = np.empty(len(products))
    for frame, chosen in enumerate(own):
        along = products[frame, chosen]
        # Frames that are near copies of each other make the matrix singular, not the distance.
        solved, *_ = np.linalg.lstsq(gram[np.ix_(chosen, chosen)], along, rcond=1e-9)
        squares[frame] = energies[frame] - solved @ along
    return np.sqrt(np.maximum(squares, 0))
