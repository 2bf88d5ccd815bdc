"""The figures by which anomaly detection is compared: AUROC of images and pixels, and PRO.

Curves run over every distinct score, so nothing depends on a choice of thresholds, and ties are
shared out evenly between both classes.
"""

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["auroc", "per_region_overlap"]

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]


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
    positive, negative = _curve_steps(scores, anomalous, np.ones(np.shape(scores)))
    true_rate = np.cumsum(positive) / positive.sum()
    before = np.concatenate(([0.0], true_rate[:-1]))
    return float(np.sum(negative * (true_rate + before) / 2) / negative.sum())


def per_region_overlap(maps: Floats, masks: Bools, /, *, limit: float = 0.3) -> float:
    """Tell how well maps cover every defect, large or small: the PRO score.

    At each threshold: the share of each defect's pixels that lie above it, averaged over all
    defects (8-connected regions of the masks), against the share of normal pixels above it; the
    area under that curve from 0 to `limit`, divided by `limit`. Bergmann et al., "The MVTec
    Anomaly Detection Dataset", IJCV 2021, section 4.2.

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
    if not 0 < limit <= 1:
        msg = f"limit must lie in (0, 1], not {limit}"
        raise ValueError(msg)
    overlap, negative = _curve_steps(maps, masks, _region_weights(masks))
    false_rate = np.concatenate(([0.0], np.cumsum(negative) / negative.sum()))
    covered = np.concatenate(([0.0], np.cumsum(overlap) / overlap.sum()))
    inside = int(np.searchsorted(false_rate, limit, side="right"))
    # the curve is cut at exactly `limit`, between the two points around it
    end = np.interp(limit, false_rate, covered)
    rates = np.concatenate((false_rate[:inside], [limit]))
    shares = np.concatenate((covered[:inside], [end]))
    return float(np.trapezoid(shares, rates) / limit)


def _region_weights(masks: Bools) -> npt.NDArray[np.float64]:
    """Give each defective pixel 1 / (pixels of its region), so that every region weighs 1."""
    weights = np.zeros(masks.shape)
    for mask, weight in zip(masks, weights, strict=True):
        if mask.any():
            _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
            sizes = np.bincount(labels.ravel())
            weight[mask] = 1 / sizes[labels[mask]]
    return weights


def _curve_steps(
    scores: Floats, anomalous: Bools, weights: Floats
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Add up, per distinct score from the highest down, anomalous weight and normal count."""
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
    order = np.argsort(flat)[::-1]
    starts = np.flatnonzero(np.diff(flat[order], prepend=np.inf))
    sorted_truth = truth[order]
    positive = np.where(sorted_truth, np.ravel(weights)[order], 0.0)
    return np.add.reduceat(positive, starts), np.add.reduceat(~sorted_truth, starts, dtype=float)
