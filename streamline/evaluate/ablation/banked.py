"""SGFR's memory bank and test images as an ablation of it sees them: features, not pictures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone
from streamline.evaluate.ablation.features import LayerFeatures, extracted
from streamline.evaluate.curves import curves_of
from streamline.evaluate.layouts import Category
from streamline.evaluate.maps import read_masks
from streamline.infer import Compute
from streamline.progress import Progress
from streamline.sgfr import Judge, Recipe

__all__ = ["BankStudy", "Batch", "study_bank"]

Single = npt.NDArray[np.float32]
Batch = Mapping[str, Single]
Choose = Callable[[Batch], npt.NDArray[np.bool_] | None]

_BATCH: Final = 8
"""Images judged together, as a line does it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BankStudy:
    """A category's features, with the bank made of all images fitted to."""

    category: Category
    features: Mapping[str, LayerFeatures]
    masks: npt.NDArray[np.bool_] | None
    size: tuple[int, int]
    """Rows and columns of an input image, px."""

    def judge(self, recipe: Recipe, /) -> Judge:
        """Open the bank for a recipe."""
        return Judge(
            {layer: self.features[layer].train for layer in recipe.layers},
            recipe,
            shapes={layer: self.features[layer].shape for layer in recipe.layers},
            size=self.size,
        )

    def figures(self, recipe: Recipe, judge: Judge, choose: Choose, /) -> dict[str, float | None]:
        """Map the test images by sub-banks that somebody chose, and measure that.

        Parameters
        ----------
        choose : callable
            Of a batch's features: the bank's frames that each may be reconstructed from, as
            `Judge.maps_from` takes them.

        Returns
        -------
        dict
            Image AUROC of the maps' maxima, as in the paper, pixel AUROC, PRO and ``ms``: time
            for an image, choosing included and the network not, ms.
        """
        maps, scores, seconds = [], [], 0.0
        for batch in self._batches(recipe.layers):
            started = perf_counter()
            made = judge.maps_from(batch, choose(batch))
            seconds += perf_counter() - started
            maps.append(made)
            scores.append(judge.peaks(made))
        curves = curves_of(self.category, np.concatenate(scores), np.concatenate(maps), self.masks)
        return {
            "image_auroc": curves.image_auroc,
            "pixel_auroc": curves.pixel_auroc,
            "pro": curves.pro,
            "ms": 1000 * seconds / len(self.category.test),
        }

    def _batches(self, layers: Sequence[str]) -> Iterator[dict[str, Single]]:
        """Read features into memory, batch by batch, so that no disk is timed."""
        for start in range(0, len(self.category.test), _BATCH):
            part = slice(start, start + _BATCH)
            yield {layer: np.array(self.features[layer].test[part]) for layer in layers}


@contextmanager
def study_bank(
    category: Category,
    net: Backbone,
    layers: Sequence[str],
    compute: Compute,
    progress: Progress,
) -> Iterator[BankStudy]:
    """Extract a category's features once, for every variant to share.

    Raises
    ------
    InputError
        If an image or a mask can't be read.
    """
    size = (net.height, net.width)
    masks = read_masks(category, size) if category.masked else None
    with extracted(category, net, layers, compute, progress) as features:
        yield BankStudy(category=category, features=features, masks=masks, size=size)
