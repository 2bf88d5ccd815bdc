"""The principal axes of more frames than memory holds, in one pass.

Frames are collected until there is no room for more; then the axes known so far and the frames
that are new are replaced by the leading axes of both, corrected for the mean that moved. Each
frame's coordinates are carried over to the new axes, so that thresholds and trainings, which
work on coordinates, need no second look at a frame. Nothing is given up, and the result is
that of `span_of`, as long as all frames fit.

D. A. Ross, J. Lim, R.-S. Lin, M.-H. Yang, "Incremental Learning for Robust Visual Tracking",
IJCV 77 (2008), section 3.1; the eigenvectors by the Gram matrix of what is merged.
"""

import numpy as np
import numpy.typing as npt

from streamline.fre.algebra import HOST, Algebra, column_parts, require_finite
from streamline.fre.progressive import Progressive
from streamline.fre.span import Solver, Span, decompose, span_of

__all__ = ["SpanBuilder"]

Floats = npt.NDArray[np.floating]
Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


class SpanBuilder:
    """Takes frames in batches and gives their `Span`.

    Memory: ``4 d rows`` bytes, and ``4 rank`` for each frame once there are more than `rows`.

    Parameters
    ----------
    rows : int
        Most frames to hold as they are.
    rank : int
        Axes to go on with once there are more frames, at most half of `rows`. What lies beyond
        them is given up, and counted in `Span.discarded`.
    held_out : Progressive, optional
        Judges each frame before it is merged, if there are more than `rows`.
    gap : int
        The latest frames wait for so many more before they are merged, so that none is judged
        by its neighbours.
    algebra : Algebra
        What multiplies and decomposes.

    Raises
    ------
    ValueError
        If `rank` is below 1 or above half of `rows`, or `gap` not below `rank`.
    """

    def __init__(
        self,
        *,
        rows: int,
        rank: int,
        held_out: Progressive | None = None,
        gap: int = 0,
        algebra: Algebra = HOST,
    ) -> None:
        if not 1 <= rank <= rows // 2:
            msg = f"of {rows} rows at least 1 and at most {rows // 2} can be axes, got {rank}"
            raise ValueError(msg)
        if not 0 <= gap < rank:
            msg = f"of {rank} new frames 0 to {rank - 1} can wait for others, got {gap}"
            raise ValueError(msg)
        self._rows = rows
        self._gap = gap
        self._algebra = algebra
        self._held_out = held_out
        self._waiting = 0
        self._rank = rank
        self._buffer: Singles = np.empty((0, 0), np.float32)
        self._axes = 0
        self._filled = 0
        self._seen = 0
        self._energy = 0.0
        self._discarded = 0.0
        self._mean: Doubles = np.empty(0)
        self._singular: Doubles = np.empty(0)
        self._coordinates: Singles = np.empty((0, 0), np.float32)
        self._outside: Doubles = np.empty(0)

    @property
    def frames(self) -> int:
        """Frames taken so far."""
        return self._seen + self._filled - self._axes

    def add(self, features: Floats, /) -> None:
        """Take further frames.

        Parameters
        ----------
        features : array of shape (n, d)
            One row per frame; copied.
        """
        if not self._buffer.size:
            # One row more than asked for: where the mean moves to, while axes are merged.
            self._buffer = np.empty((self._rows + 1, features.shape[1]), np.float32)
        start = 0
        while start < len(features):
            if self._filled == self._room():
                self._merge_but(self._gap)
            batch = features[start : start + self._room() - self._filled]
            self._buffer[self._filled : self._filled + len(batch)] = batch
            self._filled += len(batch)
            start += len(batch)

    def _room(self) -> int:
        # The axes and as many new frames: the least work for each frame that is merged.
        return min(self._rows, 2 * self._rank) if self._axes else self._rows

    def finish(self, *, solver: Solver = "gram") -> Span:
        """Give the span of all frames; the builder takes no more.

        Parameters
        ----------
        solver : {'gram', 'svd'}
            As for `span_of`; frames that had to be merged are always decomposed by 'gram'.

        Raises
        ------
        ValueError
            As `span_of`.
        """
        if not self._axes:
            held = self._buffer[: self._filled]
            return span_of(held, solver=solver, algebra=self._algebra)
        if self._filled > self._axes:
            self._merge_but(0)
        return self._merged()

    def _merged(self) -> Span:
        return Span(
            mean=self._mean.astype(np.float32),
            coordinates=self._coordinates,
            outside=self._outside,
            variances=np.square(self._singular),
            discarded=self._discarded,
            energy=self._energy,
            rows=self._buffer[: self._axes],
            weights=None,
            algebra=self._algebra,
        )

    def _merge_but(self, behind: int) -> None:
        """Merge all new frames but the last *behind*, which wait for the next time."""
        if self._held_out is not None:
            self._judge(self._held_out)
        waiting = self._buffer[self._filled - behind : self._filled].copy()
        self._filled -= behind
        self._merge()
        self._buffer[self._filled : self._filled + behind] = waiting
        self._filled += behind
        self._waiting = behind

    def _judge(self, held_out: Progressive) -> None:
        if not self._axes:
            held = self._buffer[: self._filled]
            held_out.judge_each_other(span_of(held, algebra=self._algebra))
            return
        fresh = self._buffer[self._axes + self._waiting : self._filled]
        if len(fresh):
            held_out.judge(fresh, by=self._merged())

    def _merge(self) -> None:
        """Replace axes and new frames by the leading axes of both.

        The axes, scaled by their singular values, the new frames less their own mean, and the
        way between the two means, scaled, have the scatter of all frames: with ``Z`` these
        rows and ``Z Zᵀ = U S² Uᵀ`` the new axes are ``S⁻¹ Uᵀ Z``, and row ``j`` of ``U S`` is
        where row ``j`` of ``Z`` lies on them.
        """
        new = self._filled - self._axes
        old_mean = self._mean if self._axes else np.zeros(self._buffer.shape[1])
        new_mean = self._centre(old_mean)
        total = self._seen + new
        scale = np.ones(self._filled + 1)
        scale[: self._axes] = self._singular
        scale[-1] = np.sqrt(self._seen * new / total)
        rows = self._buffer[: self._filled + 1]
        products = self._algebra.products(rows) * scale * scale[:, None]
        spectrum = decompose(products, energy=self._energy, algebra=self._algebra)
        keep = min(self._rank, len(spectrum.variances))
        singular = np.sqrt(spectrum.variances[:keep])
        vectors = spectrum.vectors[:, :keep]
        self._discarded += float(np.trace(products) - spectrum.variances[:keep].sum())
        self._carry_over(vectors * singular, scale, np.diagonal(products), new)
        axes = np.asarray((vectors / singular * scale[:, None]).T, np.float32)
        self._algebra.combine(axes, rows, centred=False, out=self._buffer[:keep])
        self._mean = (self._seen * old_mean + new * new_mean) / total
        self._singular, self._seen = singular, total
        self._axes = self._filled = keep

    def _centre(self, old_mean: Doubles) -> Doubles:
        """Take the mean of the new frames off them; lay the way to it behind them."""
        fresh = self._buffer[self._axes : self._filled]
        mean = np.empty(fresh.shape[1])
        for part in column_parts(fresh):
            wide = fresh[:, part].astype(np.float64)
            self._energy += float(np.vdot(wide, wide))
            mean[part] = wide.mean(axis=0)
            fresh[:, part] = wide - mean[part]
        self._buffer[self._filled] = old_mean - mean if self._axes else 0
        require_finite(self._energy)
        return mean

    def _carry_over(self, places: Doubles, scale: Doubles, squares: Doubles, new: int) -> None:
        """Write the coordinates of all frames, old and new, along the new axes."""
        axes, total = self._axes, self._seen + new
        apart = places[-1] / scale[-1] if axes else np.zeros(places.shape[1])
        apart_square = squares[-1] / scale[-1] ** 2 if axes else 0.0
        fresh = places[axes:-1] - (self._seen / total) * apart
        lost = squares[axes:-1] - np.square(places[axes:-1]).sum(axis=1)
        outside = np.maximum(lost, 0)
        if axes:
            turn = (places[:axes] / self._singular[:, None]).astype(np.float32)
            turned = self._coordinates @ turn
            gone = np.square(self._coordinates).sum(axis=1) - np.square(turned).sum(axis=1)
            outside = np.concatenate([self._outside + np.maximum(gone, 0), outside])
            turned += (new / total * apart).astype(np.float32)
            fresh = np.concatenate([turned, fresh.astype(np.float32)])
        # What of the way between the means lies outside the axes, every frame has gone too.
        beyond = max(apart_square - float(np.square(apart).sum()), 0.0)
        share = np.full(total, (self._seen / total) ** 2)
        share[: self._seen] = (new / total) ** 2
        self._outside = outside + share * beyond
        self._coordinates = fresh.astype(np.float32, copy=False)
