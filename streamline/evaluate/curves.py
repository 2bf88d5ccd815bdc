"""From scores and maps of test images to curves, and from these to figures."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streamline.evaluate.layouts import Category
from streamline.evaluate.maps import smoothed_maps
from streamline.evaluate.metrics import PRO_LIMIT, Curve, Ranking

__all__ = ["Curves", "curves_of"]


class Curves(NamedTuple):
    """What the figures of quality are areas under."""

    image_roc: Curve
    pixel_roc: Curve | None
    """None where defects are not marked, as is `overlap`."""

    overlap: Curve | None
    """Of which PRO is a part."""

    @property
    def image_auroc(self) -> float:
        """See `Figures`."""
        return self.image_roc.area()

    @property
    def pixel_auroc(self) -> float | None:
        """See `Figures`."""
        return None if self.pixel_roc is None else self.pixel_roc.area()

    @property
    def pro(self) -> float | None:
        """See `Figures`."""
        return None if self.overlap is None else self.overlap.area(limit=PRO_LIMIT)

    def thinned(self) -> "Curves":
        """Keep enough to draw them."""
        pixel, overlap = (one and one.thinned() for one in (self.pixel_roc, self.overlap))
        return Curves(self.image_roc.thinned(), pixel, overlap)


def curves_of(
    category: Category,
    scores: npt.NDArray[np.floating],
    maps: npt.NDArray[np.floating],
    masks: npt.NDArray[np.bool_] | None,
    /,
) -> Curves:
    """Compare scores and maps with the truth.

    Parameters
    ----------
    scores : array of shape (n,)
        Of the test images, in the order of `Category.test`.
    maps : array of shape (n, mh, mw)
        Theirs, as the model gives them.
    masks : array of shape (n, height, width), optional
        From `read_masks`, at the size that maps are compared at; None: defects aren't marked.
    """
    anomalous = np.array([sample.anomalous for sample in category.test])
    image = Ranking(scores, anomalous).roc()
    if masks is None:
        return Curves(image, None, None)
    ranking = Ranking(smoothed_maps(maps, masks.shape[1:]), masks)
    return Curves(image, ranking.roc(), ranking.pro(masks))
