"""The method whole: sub-bank from a high level, reconstruction of the others, score and map.

Sections III-A to III-C of the paper. A frame's sub-bank is what `Recipe.samples` steps of
matching pursuit choose at the sampling layer; the other layers are reconstructed from those
frames alone, with at most `Recipe.sparsity` of them. A layer's map is the norm of what is left
at each place; the layers' maps are resized and added up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from streamline.fre import interpolation_matrix
from streamline.sgfr.level import Level
from streamline.sgfr.maps import SMOOTHING_PX, finest, location_norms, smoothed_resize_matrix
from streamline.sgfr.pursuit import Pursuit

__all__ = ["Judge", "Recipe", "ScoreRule"]

Single = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Shape = tuple[int, int, int]

ScoreRule = Literal["error", "maximum"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How frames are judged by a memory bank."""

    sampling_layer: str
    """Where the sub-bank of a frame is chosen: high in the network, so that it costs little."""

    map_layers: tuple[str, ...]
    """Reconstructed from the sub-bank; their errors make the map."""

    samples: int
    """Most frames in a sub-bank: the paper's p."""

    sparsity: int
    """Most frames combined to reconstruct a layer: the paper's K."""

    tolerance: float
    """Reconstruction ends when no more than this is left of a frame's features: ε."""

    rule: ScoreRule
    """error: the score is what the sub-bank leaves of the sampling layer, ‖e‖; maximum: the
    largest value of the smoothed map, as in the paper."""

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers that features are needed of, each once, the sampling layer last."""
        others = dict.fromkeys(name for name in self.map_layers if name != self.sampling_layer)
        return (*others, self.sampling_layer)

    @property
    def score_layers(self) -> tuple[str, ...]:
        """Layers that a score needs features of."""
        return (self.sampling_layer,) if self.rule == "error" else self.layers


class Judge:
    """Scores and maps of frames by what a bank of normal frames can't reconstruct.

    Parameters
    ----------
    banks : mapping of layer name to array of shape (n, c * h * w)
        Features of the normal frames, of `Recipe.layers` or, for scores alone, of
        `Recipe.score_layers`; held, not copied, and never written to.
    shapes : mapping of layer name to (c, h, w)
        How they were flattened.
    size : tuple of (rows, columns)
        Of the image, where the map is smoothed for its maximum.
    kept : mapping of layer name to array of shape (h, w), optional
        Cells of a layer that are judged; all where not given. The bank must be 0 elsewhere.
    """

    def __init__(
        self,
        banks: Mapping[str, Single],
        recipe: Recipe,
        *,
        shapes: Mapping[str, Shape],
        size: tuple[int, int],
        kept: Mapping[str, Bools] | None = None,
    ) -> None:
        self._recipe = recipe
        self._shapes = shapes
        cells = {} if kept is None else kept
        self._levels = {
            name: Level(bank, _spread(cells.get(name), shapes[name]))
            for name, bank in banks.items()
        }
        self._blank = [
            ~cells[name]
            for name in recipe.map_layers
            if name in cells and shapes[name][1:] == finest([shapes[m] for m in recipe.map_layers])
        ]
        grid = finest([shapes[name] for name in recipe.map_layers])
        self._grid = grid
        self._enlarge = {
            name: (
                interpolation_matrix(shapes[name][1], grid[0]).astype(np.float32),
                interpolation_matrix(shapes[name][2], grid[1]).astype(np.float32),
            )
            for name in recipe.map_layers
        }
        self._smooth = tuple(
            smoothed_resize_matrix(old, new, sigma=SMOOTHING_PX).astype(np.float32)
            for old, new in zip(grid, size, strict=True)
        )

    def sample(self, features: Mapping[str, Single], /, *, known: Bools | None = None) -> Pursuit:
        """Choose each frame's sub-bank at the sampling layer.

        Parameters
        ----------
        features : mapping of layer name to array of shape (b, c * h * w)
            Not modified.
        known : array of shape (b, n), optional
            Frames of the bank that may be used; all if not given.
        """
        layer = self._recipe.sampling_layer
        return self._levels[layer].pursue(
            features[layer], sparsity=self._recipe.samples, candidates=known
        )

    def scores(self, features: Mapping[str, Single], /, *, known: Bools | None = None) -> Doubles:
        """Score frames by the recipe's rule; parameters as for `sample`.

        Returns
        -------
        array of shape (b,)
            >= 0.
        """
        if self._recipe.rule == "error":
            return self.sample(features, known=known).errors
        return self.peaks(self.maps(features, known=known))

    def maps(self, features: Mapping[str, Single], /, *, known: Bools | None = None) -> Single:
        """Map frames by sub-banks of their own; parameters as for `sample`.

        Returns
        -------
        array of shape (b, mh, mw)
            On the grid of the finest map layer, not smoothed, >= 0.
        """
        frames = self._levels[self._recipe.sampling_layer].frames
        return self.maps_from(features, self.sample(features, known=known).chosen(frames))

    def maps_from(self, features: Mapping[str, Single], candidates: Bools | None, /) -> Single:
        """Map frames by given sub-banks; by the whole bank if there are none.

        Parameters
        ----------
        features : mapping of layer name to array of shape (b, c * h * w)
            Of the map layers at least; not modified.
        candidates : array of shape (b, n), optional
            Frames of the bank that each frame may be reconstructed from.
        """
        total: Single = np.zeros((1, *self._grid), np.float32)
        for name in self._recipe.map_layers:
            level = self._levels[name]
            pursuit = level.pursue(
                features[name],
                sparsity=self._recipe.sparsity,
                tolerance=self._recipe.tolerance,
                candidates=candidates,
            )
            residual = level.residual(features[name], pursuit)
            rows, columns = self._enlarge[name]
            norms = location_norms(residual, shape=self._shapes[name])
            total = total + np.asarray(rows @ norms @ columns.T, np.float32)
        for blank in self._blank:
            # What was enlarged from coarser layers lies over the edge of the mask.
            total[:, blank] = 0
        return total

    def peaks(self, maps: Single, /) -> Doubles:
        """Largest value of each map, resized to the image and smoothed there, shape ``(b,)``."""
        rows, columns = self._smooth
        smoothed = rows @ maps @ columns.T
        return np.asarray(smoothed.max(axis=(1, 2)), np.float64)


def _spread(kept: Bools | None, shape: Shape) -> Bools | None:
    """Say of each feature whether its cell is kept, shape ``(c * h * w,)``."""
    return None if kept is None else np.broadcast_to(kept, shape).ravel()
