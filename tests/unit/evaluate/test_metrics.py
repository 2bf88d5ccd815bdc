"""AUROC against scikit-learn, PRO against MVTec's own code, brute force and figures by hand."""

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from adeval.au_pro import calculate_au_pro
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from streamline.evaluate import auroc, per_region_overlap
from streamline.evaluate.metrics import Ranking

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.flags.writeable = False
    return array


@st.composite
def labelled(draw: st.DrawFn) -> tuple[Floats, Bools]:
    """Scores with many ties, and labels of both kinds."""
    pairs = draw(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=60))
    scores, labels = zip(*pairs, (4, True), (5, False), strict=True)
    return frozen(np.array(scores) / 7), frozen(np.array(labels))


@given(labelled())
def test_auroc_is_that_of_scikit_learn_ties_included(case: tuple[Floats, Bools]) -> None:
    scores, labels = case
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_auroc_of_maps_is_that_of_their_pixels() -> None:
    generator = np.random.default_rng(0)
    maps = frozen(generator.random((3, 20, 30), np.float32))
    masks = frozen(generator.random((3, 20, 30)) < 0.1)
    expected = roc_auc_score(masks.ravel(), maps.ravel())
    assert auroc(maps, masks) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        pytest.param([1, 2, 3, 4], 1.0, id="separated"),
        pytest.param([4, 3, 2, 1], 0.0, id="wrong-way-round"),
        pytest.param([5, 5, 5, 5], 0.5, id="all-tied"),
        pytest.param([1, 3, 2, 4], 0.75, id="one-pair-of-four-swapped"),
    ],
)
def test_auroc_of_cases_worked_out_by_hand(scores: list[float], expected: float) -> None:
    labels = np.array([False, False, True, True])
    assert auroc(np.array(scores, float), labels) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        pytest.param([1.0, 2.0], [True, True], "both classes", id="no-normal"),
        pytest.param([1.0, 2.0], [False, False], "both classes", id="no-anomalous"),
        pytest.param([1.0, np.nan], [False, True], "finite", id="nan"),
        pytest.param([1.0], [False, True], r"shape \(1,\) but labels \(2,\)", id="shapes"),
    ],
)
def test_auroc_refuses_what_has_none(scores: list[float], labels: list[bool], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auroc(np.array(scores), np.array(labels))


def regions(mask: Bools) -> list[Bools]:
    """Find 8-connected regions by flooding, one pixel after the other."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    while left:
        region, queue = np.zeros_like(mask), [left.pop()]
        while queue:
            y, x = queue.pop()
            region[y, x] = True
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            queue += near
        found.append(region)
    return found


def slow_pro(maps: Floats, masks: Bools, limit: float) -> float:
    """Compute PRO as it is defined: one threshold after the other, one region after the other."""
    points = [(0.0, 0.0)]
    each = [(number, region) for number, mask in enumerate(masks) for region in regions(mask)]
    for threshold in sorted(set(maps.ravel().tolist()), reverse=True):
        above = maps >= threshold
        rate = (above & ~masks).sum() / (~masks).sum()
        overlap = np.mean([(above[n] & region).sum() / region.sum() for n, region in each])
        points.append((float(rate), float(overlap)))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 >= limit:
            break
        right = min(x1, limit)
        at_right = y1 if x1 <= limit else y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
        area += (right - x0) * (y0 + at_right) / 2
    return area / limit


@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 40),
    st.sampled_from([0.05, 0.3, 1.0]),
)
def test_pro_is_that_of_brute_force(seed: int, levels: int, limit: float) -> None:
    generator = np.random.default_rng(seed)
    masks = generator.random((3, 7, 9)) < generator.uniform(0.05, 0.4)
    masks[0, 0, 0], masks[1] = True, False
    maps = frozen(generator.integers(0, levels, masks.shape) / levels + 0.3 * masks)
    expected = slow_pro(maps, masks, limit)
    assert per_region_overlap(maps, frozen(masks), limit=limit) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("limit", [0.05, 0.3])
def test_pro_is_that_of_mvtecs_own_evaluation(limit: float) -> None:
    """As packaged by adeval; its curve has no point between two normal pixels' scores."""
    generator = np.random.default_rng(7)
    blobs = cv2.GaussianBlur(generator.normal(size=(64, 96, 6)), (0, 0), 3).transpose(2, 0, 1)
    masks = blobs > np.quantile(blobs, 0.95)
    masks[0] = False
    noise = cv2.GaussianBlur(generator.normal(size=(64, 96, 6)), (0, 0), 2).transpose(2, 0, 1)
    maps = frozen(blobs / blobs.std() + noise / noise.std())
    pixels = int((~masks).sum())
    expected, _ = calculate_au_pro(
        list(masks.astype(np.int64)), list(maps), integration_limit=limit, num_thresholds=pixels
    )
    assert per_region_overlap(maps, frozen(masks), limit=limit) == pytest.approx(expected, abs=2e-4)


def test_a_thinned_curve_keeps_its_ends_and_its_area() -> None:
    generator = np.random.default_rng(0)
    labels = generator.random(50_000) < 0.2
    curve = Ranking(generator.normal(size=50_000) + labels, labels).roc()
    thin = curve.thinned(300)
    assert 250 < len(thin.found) <= 300
    assert (thin.found[0], thin.found[-1], thin.false_rate[-1]) == (0, 1, 1)
    assert thin.area() == pytest.approx(curve.area(), abs=1e-4)


def one_row(*values: float) -> Floats:
    return np.array([[values]], float)


def test_pro_of_a_perfect_map_is_one() -> None:
    maps = one_row(9, 9, 1, 2, 3, 4, 5, 6, 7, 8)
    assert per_region_overlap(maps, maps >= 9) == pytest.approx(1)


def test_pro_of_a_map_that_is_worst_where_the_defect_is_is_nought() -> None:
    maps = one_row(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    assert per_region_overlap(maps, maps == 0) == pytest.approx(0)


def test_pro_of_a_flat_map_rises_in_a_straight_line() -> None:
    """One step from (0, 0) to (1, 1): up to 0.3 it covers 0.15 on average."""
    maps = one_row(*[5.0] * 10)
    assert per_region_overlap(maps, one_row(1, *[0] * 9) > 0) == pytest.approx(0.15)


def test_a_small_defect_weighs_as_much_as_a_large_one() -> None:
    """The region of four pixels is found at once, that of one never: half of both."""
    maps = one_row(9, 9, 9, 9, 5, 4, 3, 2, 1, 0)
    masks = one_row(1, 1, 1, 1, 0, 0, 0, 0, 0, 1) > 0
    assert per_region_overlap(maps, masks) == pytest.approx(0.5)


def test_pixels_that_touch_at_a_corner_are_one_defect() -> None:
    """Of two pixels one is found: 1/2 in one region, and had they been two, 1/2 as well;

    with a third pixel alone elsewhere, also found, it is 3/4 against 2/3.
    """
    maps = np.zeros((1, 4, 12))
    masks = np.zeros(maps.shape, np.bool_)
    masks[0, 0, 0] = masks[0, 1, 1] = masks[0, 3, 11] = True
    maps[0] = np.linspace(1, 2, maps.size).reshape(4, 12)
    maps[0, 0, 0], maps[0, 1, 1], maps[0, 3, 11] = 9, 0, 9
    assert per_region_overlap(maps, masks) == pytest.approx(0.75)


@pytest.mark.parametrize("limit", [0.0, -0.1, 1.1])
def test_pro_refuses_a_limit_out_of_range(limit: float) -> None:
    with pytest.raises(ValueError, match="limit must lie in"):
        per_region_overlap(one_row(1, 2), one_row(0, 1) > 0, limit=limit)


def test_pro_without_any_defect_is_refused() -> None:
    with pytest.raises(ValueError, match="both classes"):
        per_region_overlap(one_row(1, 2), one_row(0, 0) > 0)
