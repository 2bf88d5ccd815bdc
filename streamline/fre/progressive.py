"""Errors of frames that a fit in bounded memory has not seen, while it goes on.

Once frames are merged, the axes that are left of them lean towards each of those frames. A
subspace of other frames, sought on such axes, leans with them: held-out errors computed from the
coordinates of a merged span come out too small (by 5 % where half as many frames again as are
held were merged), and so would a threshold. So a frame is judged before it is merged, by the
subspace of those that were merged before it: it is tested first and learnt from afterwards.

A. P. Dawid, "Present position and potential developments: the prequential approach", Journal of
the Royal Statistical Society A 147 (1984).
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from streamline.fre.algebra import column_parts
from streamline.fre.crossfit import contiguous_blocks, crossfit_errors, errors_left
from streamline.fre.span import Span
from streamline.fre.subspace import rank_for

__all__ = ["Progressive"]

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]


class Progressive:
    """Takes what a `SpanBuilder` shows it, and keeps the errors of all frames.

    Parameters
    ----------
    blocks, gap : int
        In how many runs the frames that were held at once are held out, and how many of their
        neighbours with them; later ones are held out in the runs in which they were merged.
    shares, max_rank
        As for `crossfit_errors`.
    """

    def __init__(
        self, *, blocks: int, gap: int, shares: Sequence[float], max_rank: int | None = None
    ) -> None:
        self._count = blocks
        self._gap = gap
        self._shares = list(shares)
        self._max_rank = max_rank
        self._errors: list[Doubles] = []

    @property
    def runs(self) -> list[slice]:
        """In which the frames shown were held out; none if there was no need to merge."""
        if not self._errors:
            return []
        ends = np.cumsum([errors.shape[1] for errors in self._errors]).tolist()
        later = [slice(start, end) for start, end in pairwise(ends)]
        return contiguous_blocks(ends[0], count=self._count) + later

    @property
    def errors(self) -> Doubles:
        """Shape ``(len(shares), n)``: of all frames shown, >= 0."""
        return np.concatenate(self._errors, axis=1)

    def judge_each_other(self, span: Span, /) -> None:
        """Take the frames that are held before the first merge; they judge one another."""
        runs = contiguous_blocks(len(span.coordinates), count=self._count)
        self._errors.append(
            crossfit_errors(
                span, blocks=runs, gap=self._gap, shares=self._shares, max_rank=self._max_rank
            )
        )

    def judge(self, frames: Floats, /, *, by: Span) -> None:
        """Take further frames; those merged before judge them.

        Parameters
        ----------
        frames : array of shape (n, d)
            Not modified.
        by : Span
            Whose `rows` are its axes.
        """
        ranks = [
            rank_for(by.variances, retain=share, max_rank=self._max_rank, discarded=by.discarded)
            for share in self._shares
        ]
        squares = np.zeros(len(frames))
        places = np.zeros((len(frames), max(ranks)))
        for part in column_parts(frames):
            centred = frames[:, part].astype(np.float64) - by.mean[part]
            squares += np.square(centred).sum(axis=1)
            places += centred.astype(np.float32) @ by.rows[: max(ranks), part].T
        self._errors.append(errors_left(squares, places, ranks))
