"""What the ablations of SGFR share: banks and test images as features, extracted once a run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Final

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone
from streamline.evaluate.ablation.features import LayerFeatures, extracted
from streamline.evaluate.ablation.result import Row
from streamline.evaluate.curves import curves_of
from streamline.evaluate.layouts import Category
from streamline.evaluate.maps import read_masks
from streamline.evaluate.plan import PlannedRun
from streamline.infer import Compute
from streamline.learn import SgfrSettings
from streamline.progress import Progress
from streamline.sgfr import Judge, Recipe

__all__ = ["BankStudy", "Batch", "bank_rows", "bank_setup"]

Single = npt.NDArray[np.float32]
Batch = Mapping[str, Single]
Bools = npt.NDArray[np.bool_]
Choose = Callable[[Batch], Bools | None]

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

    def by_pursuit(self, judge: Judge, /) -> Choose:
        """Choose sub-banks as the method does."""
        n = len(self.category.train)

        def choose(batch: Batch) -> Bools:
            return judge.sample(batch).chosen(n)

        return choose

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


def bank_rows(
    runs: Sequence[PlannedRun],
    settings: SgfrSettings,
    net: Backbone,
    layers: Sequence[str],
    rows: Callable[[PlannedRun, BankStudy], Iterator[Row]],
    progress: Progress,
) -> list[Row]:
    """Make the rows of every run, from the features of the layers named.

    Raises
    ------
    InputError
        If an image or a mask can't be read.
    """
    made: list[Row] = []
    for run in runs:
        with _studied(run.category, net, layers, settings.compute, progress) as study:
            for row in rows(run, study):
                made.append(row)
                progress("variants", len(made), None)
    return made


def bank_setup(settings: SgfrSettings, net: Backbone, /) -> dict[str, object]:
    """Say what the figures were got with."""
    return {
        "backbone": settings.backbone,
        "precision": net.precision,
        "recipe": asdict(settings.recipe),
    }


@contextmanager
def _studied(
    category: Category,
    net: Backbone,
    layers: Sequence[str],
    compute: Compute,
    progress: Progress,
) -> Iterator[BankStudy]:
    size = (net.height, net.width)
    masks = read_masks(category, size) if category.masked else None
    with extracted(category, net, layers, compute, progress) as features:
        yield BankStudy(category=category, features=features, masks=masks, size=size)
