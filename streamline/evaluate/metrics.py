"""The figures by which anomaly detection is compared: AUROC of images and pixels, and PRO.

Curves run over every distinct score, so nothing depends on a choice of thresholds, and ties are
shared out evenly between both classes.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["PRO_LIMIT", "Curve", "Ranking", "auroc", "per_region_overlap"]

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

PRO_LIMIT = 0.3
"""Largest false positive rate that counts for PRO, unless another is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """What is found against what is taken for a defect wrongly, as the threshold falls."""

    false_rate: Doubles
    """Shape ``(m,)``: share of the normal that lies above the threshold, rising from 0 to 1."""

    found: Doubles
    """Shape ``(m,)``: share of the anomalous that does, rising from 0 to 1."""

    def area(self, *, limit: float = 1.0) -> float:
        """Mean share found over the false positive rates from 0 to `limit`, in [0, 1].

        Raises
        ------
        ValueError
            If `limit` is not in (0, 1].
        """
        if not 0 < limit <= 1:
            msg = f"limit must lie in (0, 1], not {limit}"
            raise ValueError(msg)
        inside = int(np.searchsorted(self.false_rate, limit, side="right"))
        # the curve is cut at exactly `limit`, between the two points around it
        end = np.interp(limit, self.false_rate, self.found)
        rates = np.concatenate((self.false_rate[:inside], [limit]))
        shares = np.concatenate((self.found[:inside], [end]))
        return float(np.trapezoid(shares, rates) / limit)

    def thinned(self, points: int = 400) -> "Curve":
        """Keep about so many points, evenly spread along the curve: enough to draw it."""
        length = self.false_rate + self.found
        wanted = np.linspace(0, length[-1], min(points, len(length)))
        kept = np.unique(np.searchsorted(length, wanted).clip(max=len(length) - 1))
        return Curve(false_rate=self.false_rate[kept], found=self.found[kept])


class Ranking:
    """Scores in order, with what is true of each: sorted once for several curves.

    Parameters
    ----------
    scores : array of any shape, finite
        Higher means more anomalous; not modified.
    anomalous : array of the same shape
        What is true.

    Raises
    ------
    ValueError
        If shapes differ, a score is not finite, or one of both classes is empty.
    """

    def __init__(self, scores: Floats, anomalous: Bools, /) -> None:
        if np.shape(scores) != np.shape(anomalous):
            msg = f"scores have shape {np.shape(scores)} but labels {np.shape(anomalous)}"
            raise ValueError(msg)
        flat, truth = np.ravel(scores), np.ravel(anomalous)
        if not np.isfinite(flat).all():
            msg = "scores must be finite"
            raise ValueError(msg)
        if truth.all() or not truth.any():
            msg = f"both classes are needed, but {int(truth.sum())} of {truth.size} are anomalous"
            raise ValueError(msg)
        self._order = np.argsort(flat)[::-1]
        self._starts = np.flatnonzero(np.diff(flat[self._order], prepend=np.inf))
        self._truth = truth[self._order]
        self._false_rate = self._rising(~self._truth)

    def roc(self) -> Curve:
        """Receiver operating characteristic: every score weighs the same."""
        return Curve(false_rate=self._false_rate, found=self._rising(self._truth))

    def pro(self, masks: Bools, /) -> Curve:
        """Per-region overlap: every defect weighs the same, whatever its size.

        Defects are the 8-connected regions of the masks.

        Parameters
        ----------
        masks : array of shape (n, h, w)
            What is true, in pictures.
        """
        weights = _region_weights(masks).ravel()[self._order]
        return Curve(false_rate=self._false_rate, found=self._rising(weights))

    def _rising(self, amounts: npt.NDArray[np.float64] | Bools) -> Doubles:
        """Add up per distinct score from the highest down, as shares of the sum, from 0."""
        steps = np.add.reduceat(amounts, self._starts, dtype=np.float64)
        total = np.cumsum(steps)
        return np.concatenate(([0.0], total / total[-1]))


def auroc(scores: Floats, anomalous: Bools, /) -> float:
    """Tell how well scores rank anomalous above normal: area under the ROC curve.

    Parameters
    ----------
    scores : array of any shape, finite
        Higher means more anomalous.
    anomalous : array of the same shape
        What is true.

    Returns
    -------
    float
        Share of (anomalous, normal) pairs that are ranked rightly, ties counting half; in [0, 1].

    Raises
    ------
    ValueError
        If shapes differ, a score is not finite, or one of both classes is empty.

    Examples
    --------
    >>> import numpy as np
    >>> auroc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
    0.875
    """
    return Ranking(scores, anomalous).roc().area()


def per_region_overlap(maps: Floats, masks: Bools, /, *, limit: float = PRO_LIMIT) -> float:
    """Tell how well maps cover every defect, large or small: the PRO score.

    At each threshold: the share of each defect's pixels that lie above it, averaged over all
    defects, against the share of normal pixels above it; the area under that curve from 0 to
    `limit`, divided by `limit`. Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV
    2021, section 4.2.

    Parameters
    ----------
    maps : array of shape (n, h, w), finite
        Anomaly maps, at the size of the masks.
    masks : array of shape (n, h, w)
        True where the product is defective; all false for a normal image.
    limit : float
        Largest false positive rate that counts, in (0, 1].

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, `limit` is out of range, or there is no defect
        or no normal pixel at all.
    """
    return Ranking(maps, masks).pro(masks).area(limit=limit)


def _region_weights(masks: Bools) -> Doubles:
    """Give each defective pixel 1 / (pixels of its region), so that every region weighs 1."""
    weights = np.zeros(masks.shape)
    for mask, weight in zip(masks, weights, strict=True):
        if mask.any():
            _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
            sizes = np.bincount(labels.ravel())
            weight[mask] = 1 / sizes[labels[mask]]
    return weights
