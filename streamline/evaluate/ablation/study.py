"""A category as an ablation of layers sees it: every layer's answers, and what is true."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone
from streamline.evaluate.ablation.features import extracted
from streamline.evaluate.ablation.pick import Pick
from streamline.evaluate.ablation.sweep import Answer, sweep_retained
from streamline.evaluate.curves import curves_of
from streamline.evaluate.layouts import Category
from streamline.evaluate.maps import read_masks
from streamline.fre import fuse_errors, fuse_maps
from streamline.infer import Compute
from streamline.progress import Progress

__all__ = ["LayerStudy", "study_layers"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerStudy:
    """Every layer's answers at every share of the variance, of one category."""

    category: Category
    answers: Mapping[str, Mapping[float, Answer]]
    masks: npt.NDArray[np.bool_] | None

    def figures(self, pick: Pick, retain: float, /) -> dict[str, float | None]:
        """Fuse the layers picked, as a model does, and measure them.

        Returns
        -------
        dict
            Image AUROC, pixel AUROC and PRO, and ``k``: the score's directions.
        """
        score = [self.answers[layer][retain] for layer in pick.score]
        maps = [self.answers[layer][retain] for layer in pick.maps]
        curves = curves_of(
            self.category,
            fuse_errors([one.errors for one in score]),
            fuse_maps([one.maps.astype(np.float64) for one in maps]),
            self.masks,
        )
        return {
            "image_auroc": curves.image_auroc,
            "pixel_auroc": curves.pixel_auroc,
            "pro": curves.pro,
            "k": sum(one.rank for one in score),
        }


def study_layers(
    category: Category,
    net: Backbone,
    layers: Sequence[str],
    retained: Sequence[float],
    compute: Compute,
    progress: Progress,
) -> LayerStudy:
    """Extract a category's features once, and take each layer's answers from them.

    Raises
    ------
    InputError
        If an image or a mask can't be read.
    """
    masks = read_masks(category, (net.height, net.width)) if category.masked else None
    answers: dict[str, Mapping[float, Answer]] = {}
    with extracted(category, net, layers, compute, progress) as features:
        for layer in layers:
            answers[layer] = sweep_retained(features[layer], retained)
            progress("layers", len(answers), len(layers))
    return LayerStudy(category=category, answers=answers, masks=masks)
