"""Parts of a camera's view that are not judged.

A mask leaves out cells of the network's layers, not pixels: the network sees the picture as it
is, and what it makes of the masked part is neither learnt, nor scored, nor compared with a
threshold. A cell sees more of the picture than the square it stands for, so a cell is left out
where any of it lies within `REACH_PX` of the mask.
"""

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_CORNERS", "REACH_PX", "Coverage", "Mask", "Polygon"]

Bools = npt.NDArray[np.bool_]
Point = tuple[float, float]
Polygon = tuple[Point, ...]
"""Corners in turn, x to the right and y down; it closes itself."""

REACH_PX = 32
"""How far beyond the mask cells are left out, px of the model's input. Cells beyond still see a
little of what is masked: a spot of 24 px in the middle of a square mask of 96 px moved scores of
bottles by 6 % in the median, and by 19 % if only cells that overlap the mask are left out."""

MOST_CORNERS = 2048
"""Of all polygons of a mask together, so that one from a file is drawn in no time."""

_DIGITS = 6
"""Of a share of the view: a thousandth of a pixel, and the same from whoever computes it."""


_FARTHEST = 1e6
"""Where a corner may be, in widths or heights of the view."""

_TOGETHER = 64
"""Polygons that are drawn at once, each in a bit of its own."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Polygons that cover what is not to be judged.

    Raises
    ------
    ValueError
        If they have corners that are nowhere near the view.
    """

    polygons: tuple[Polygon, ...]
    """Corners as shares of the view's width and height; the view is the picture or its region."""

    def __post_init__(self) -> None:
        places = (place for polygon in self.polygons for corner in polygon for place in corner)
        if not all(abs(place) <= _FARTHEST for place in places):
            msg = "the mask has a corner that is nowhere near the view"
            raise ValueError(msg)

    @classmethod
    def for_judging(cls, polygons: tuple[Polygon, ...], /) -> "Mask":
        """Take polygons that frames are to be judged under; what is only read may have more.

        Raises
        ------
        ValueError
            If they have too many corners, or corners that are nowhere near the view.
        """
        corners = sum(map(len, polygons))
        if corners > MOST_CORNERS:
            msg = f"the mask has {corners} corners, {MOST_CORNERS} at most are allowed"
            raise ValueError(msg)
        return cls(polygons)

    @classmethod
    def of_pixels(
        cls, polygons: tuple[Polygon, ...], /, view: tuple[float, float, float, float]
    ) -> "Mask":
        """Take polygons in px of the full picture.

        Parameters
        ----------
        view : tuple of (x, y, width, height)
            The part of the picture that is looked at, px.

        Raises
        ------
        ValueError
            If they have too many corners, a polygon has no area in the view, or all of the view
            is covered.
        """
        left, top, width, height = view
        mask = cls.for_judging(
            tuple(
                tuple(
                    (round((x - left) / width, _DIGITS), round((y - top) / height, _DIGITS))
                    for x, y in polygon
                )
                for polygon in polygons
            )
        )
        _require_sound(mask)
        return mask

    @property
    def digest(self) -> str:
        """SHA-256 that names it, hexadecimal."""
        return hashlib.sha256(json.dumps(self.polygons).encode()).hexdigest()

    def covered(self, rows: int, columns: int, /) -> Bools:
        """Say which pixels of a view of that size are covered: their centres are.

        Returns
        -------
        array of shape (rows, columns)
        """
        covered = np.zeros((rows, columns), np.bool_)
        for first in range(0, len(self.polygons), _TOGETHER):
            covered |= _inside_any(self.polygons[first : first + _TOGETHER], rows, columns)
        return covered

    def over(self, size: tuple[int, int], /) -> "Coverage":
        """Lay it over a model's input of so many rows and columns, px."""
        return Coverage(self.covered(*size))


class Coverage:
    """What a mask covers of a model's input, ready to be asked for the cells of many layers.

    Parameters
    ----------
    covered : array of shape (rows, columns)
        Which pixels are; not kept.
    """

    def __init__(self, covered: Bools) -> None:
        self._size = covered.shape
        sums = covered.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
        self._counts = np.pad(sums, ((1, 0), (1, 0)))

    def kept(self, grid: tuple[int, int], /) -> Bools:
        """Say which cells of a layer are judged.

        Parameters
        ----------
        grid : tuple of (rows, columns)
            Of the layer.

        Returns
        -------
        array of shape grid
            False where any of a cell's square lies within `REACH_PX` of the mask, along both axes.
        """
        (top, bottom), (left, right) = (
            _reach(*both) for both in zip(grid, self._size, strict=True)
        )
        inside = (
            self._counts[np.ix_(bottom, right)]
            - self._counts[np.ix_(top, right)]
            - self._counts[np.ix_(bottom, left)]
            + self._counts[np.ix_(top, left)]
        )
        return np.asarray(inside == 0)


def _require_sound(mask: Mask) -> None:
    for number, polygon in enumerate(mask.polygons, start=1):
        if not Mask((polygon,)).covered(256, 256).any():
            msg = f"polygon {number} of the mask lies outside the view, or has no area"
            raise ValueError(msg)
    if mask.covered(256, 256).all():
        msg = "the mask covers everything, so there is nothing to judge"
        raise ValueError(msg)


def _inside_any(polygons: tuple[Polygon, ...], rows: int, columns: int) -> Bools:
    """Say which pixels' centres lie inside one of at most 64 polygons.

    A centre is inside if an odd number of edges is crossed on the way from it to the right (M.
    Shimrat, CACM 5, 1962). Each edge changes sides, in its polygon's bit, for all that lies to
    the left of where it crosses a row: noted at the last such pixel, and carried from right to
    left once for all edges.
    """
    y, x = ((np.arange(n) + 0.5) / n for n in (rows, columns))
    sides = np.zeros((rows, columns + 1), np.uint64)
    for bit, polygon in enumerate(polygons):
        for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
            met = np.flatnonzero((y < y1) != (y < y2))
            crossing = x1 + (y[met] - y1) * (x2 - x1) / (y2 - y1)
            # Of an edge each row is met once: no two changes of one place at a time.
            sides[met, np.searchsorted(x, crossing)] ^= np.uint64(1 << bit)
    # What is noted at the first place lies to the right of nothing.
    inside = np.bitwise_xor.accumulate(sides[:, :0:-1], axis=1)[:, ::-1]
    return np.asarray(inside != 0)


def _reach(cells: int, pixels: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """First pixel and end of what each cell along an axis reaches over."""
    edges = np.arange(cells + 1) * pixels / cells
    first = np.clip(np.floor(edges[:-1]) - REACH_PX, 0, pixels).astype(np.intp)
    end = np.clip(np.ceil(edges[1:]) + REACH_PX, 0, pixels).astype(np.intp)
    return first, end
