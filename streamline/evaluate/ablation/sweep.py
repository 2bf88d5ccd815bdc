"""One layer's answers at many ranks, for little more than the price of the largest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamline.evaluate.ablation.features import LayerFeatures
from streamline.fre import Subspace, fit_subspace, rank_for

__all__ = ["Answer", "sweep_retained"]

_CHUNK_BYTES = 256 << 20
"""Test images are gone through in runs that take about so much memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What one layer at one rank says of the test images."""

    rank: int
    errors: npt.NDArray[np.float64]
    """Shape ``(n,)``: norms of the reconstruction errors."""

    maps: npt.NDArray[np.float32]
    """Shape ``(n, h, w)``: channel means of their squares."""


def sweep_retained(features: LayerFeatures, retained: Sequence[float], /) -> Mapping[float, Answer]:
    """Fit once, with the largest share of the variance, and answer for each smaller one too.

    Directions are ordered, so a larger rank's residual is a smaller one's, less what the further
    directions explain of it.

    Parameters
    ----------
    retained : sequence of float
        Shares of the variance, in (0, 1].

    Raises
    ------
    ValueError
        If the images fitted to don't differ.
    """
    subspace = fit_subspace(features.train, retain=max(retained))
    variances = np.square(subspace.singular_values)
    ranks = {share: rank_for(variances, retain=share, max_rank=subspace.rank) for share in retained}
    answers = {rank: _empty(features, rank) for rank in sorted(set(ranks.values()))}
    step = max(1, _CHUNK_BYTES // features.test[0].nbytes)
    for start in range(0, len(features.test), step):
        part = slice(start, start + step)
        _answer(features, subspace, part, answers)
    return {share: answers[rank] for share, rank in ranks.items()}


def _empty(features: LayerFeatures, rank: int) -> Answer:
    n = len(features.test)
    _, height, width = features.shape
    return Answer(rank=rank, errors=np.empty(n), maps=np.empty((n, height, width), np.float32))


def _answer(
    features: LayerFeatures, subspace: Subspace, part: slice, answers: Mapping[int, Answer]
) -> None:
    """Fill in what each rank, from small to large, says of a run of images."""
    residual = features.test[part] - subspace.mean
    before = 0
    for rank, answer in answers.items():
        directions = subspace.directions[before:rank].astype(np.float32)
        residual -= (residual @ directions.T) @ directions
        squares = np.square(residual).reshape(-1, *features.shape)
        answer.maps[part] = squares.mean(axis=1)
        answer.errors[part] = np.sqrt(squares.sum(axis=(1, 2, 3), dtype=np.float64))
        before = rank
