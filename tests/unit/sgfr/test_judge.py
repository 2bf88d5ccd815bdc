"""The method whole against its formulas in float64, and its maps against OpenCV."""

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from streamline.fre import resize_bilinear
from streamline.sgfr import (
    SMOOTHING_PX,
    Judge,
    Recipe,
    location_norms,
    reference_map,
    reference_pursuit,
    smoothed_resize_matrix,
)

Single = npt.NDArray[np.float32]

SHAPES = {"fine": (3, 8, 6), "coarse": (5, 4, 3), "top": (20, 2, 2)}
RECIPE = Recipe(
    sampling_layer="top",
    map_layers=("fine", "coarse"),
    samples=6,
    sparsity=3,
    tolerance=0,
    rule="error",
)
SIZE = (64, 48)


def features(n: int, *, seed: int) -> dict[str, Single]:
    generator = np.random.default_rng(seed)
    made = {}
    for name, shape in SHAPES.items():
        rows = generator.normal(1, 1, (n, int(np.prod(shape)))).astype(np.float32)
        rows.flags.writeable = False
        made[name] = rows
    return made


BANK = features(25, seed=1)
FRAMES = features(7, seed=2)


def judge(recipe: Recipe = RECIPE) -> Judge:
    return Judge(BANK, recipe, shapes=SHAPES, size=SIZE)


def expected(recipe: Recipe, frame: int) -> tuple[float, npt.NDArray[np.float64]]:
    """What the top layer's sub-bank leaves of it, and the map by that sub-bank."""
    chosen, _, left = reference_pursuit(BANK["top"], FRAMES["top"][frame], sparsity=recipe.samples)
    maps = []
    for name in recipe.map_layers:
        _, _, residual = reference_pursuit(
            BANK[name][chosen], FRAMES[name][frame], sparsity=recipe.sparsity
        )
        maps.append(reference_map(residual, shape=SHAPES[name], grid=(8, 6)))
    return float(np.linalg.norm(left)), np.sum(maps, axis=0)


def test_scores_and_maps_are_those_of_the_formulas() -> None:
    scores, maps = judge().scores(FRAMES), judge().maps(FRAMES)
    assert maps.shape == (7, 8, 6)
    for frame in range(7):
        score, heat = expected(RECIPE, frame)
        assert scores[frame] == pytest.approx(score, rel=1e-5)
        np.testing.assert_allclose(maps[frame], heat, rtol=1e-4, atol=1e-5)


def test_by_maximum_the_score_is_the_highest_place_of_the_smoothed_map() -> None:
    paper = judge(replace(RECIPE, rule="maximum"))
    for score, heat in zip(paper.scores(FRAMES), paper.maps(FRAMES), strict=True):
        large = cv2.resize(heat, SIZE[::-1], interpolation=cv2.INTER_LINEAR)
        assert score == pytest.approx(cv2.GaussianBlur(large, (0, 0), SMOOTHING_PX).max(), rel=1e-4)


def test_a_score_does_not_depend_on_the_batch_a_frame_came_in() -> None:
    for rule in ("error", "maximum"):
        one = judge(replace(RECIPE, rule=rule))
        alone = [
            one.scores({name: rows[i : i + 1] for name, rows in FRAMES.items()})[0]
            for i in range(7)
        ]
        np.testing.assert_allclose(one.scores(FRAMES), alone, rtol=1e-5)


def test_scores_alone_need_the_sampling_layer_alone() -> None:
    assert RECIPE.score_layers == ("top",)
    lean = Judge({"top": BANK["top"]}, RECIPE, shapes=SHAPES, size=SIZE)
    np.testing.assert_allclose(lean.scores({"top": FRAMES["top"]}), judge().scores(FRAMES))
    assert replace(RECIPE, rule="maximum").score_layers == RECIPE.layers


def test_frames_of_the_bank_that_may_not_be_known_are_not_used() -> None:
    known = np.ones((7, 25), np.bool_)
    known[:, 10:] = False
    fewer = Judge(
        {name: rows[:10] for name, rows in BANK.items()}, RECIPE, shapes=SHAPES, size=SIZE
    )
    np.testing.assert_allclose(judge().scores(FRAMES, known=known), fewer.scores(FRAMES), rtol=1e-5)
    np.testing.assert_allclose(
        judge().maps(FRAMES, known=known), fewer.maps(FRAMES), rtol=1e-4, atol=1e-5
    )


def test_sub_banks_can_be_given_and_the_whole_bank_is_never_worse() -> None:
    one = judge()
    own = one.sample(FRAMES).chosen(25)
    assert (own.sum(axis=1) == RECIPE.samples).all()
    np.testing.assert_array_equal(one.maps_from(FRAMES, own), one.maps(FRAMES))
    greedy = judge(replace(RECIPE, sparsity=1))
    energy = [np.square(greedy.maps_from(FRAMES, mask)).sum() for mask in (own, None)]
    assert energy[1] < energy[0]


def test_a_layer_that_samples_may_be_mapped_too() -> None:
    both = replace(RECIPE, map_layers=("top", "fine"))
    assert both.layers == ("fine", "top")
    assert judge(both).maps(FRAMES).shape == (7, 8, 6)


def test_norms_are_taken_over_the_channels_by_a_loop() -> None:
    residual = FRAMES["coarse"]
    norms = location_norms(residual, shape=(5, 4, 3))
    for n, y, x in np.ndindex(7, 4, 3):
        channels = [float(residual[n, c * 12 + y * 3 + x]) for c in range(5)]
        assert norms[n, y, x] == pytest.approx(float(np.linalg.norm(channels)), rel=1e-5)


@pytest.mark.parametrize(("old", "new", "sigma"), [(8, 64, 4.0), (5, 33, 2.5), (16, 16, 1.0)])
def test_resizing_and_smoothing_in_one_are_opencv_s(old: int, new: int, sigma: float) -> None:
    matrix = smoothed_resize_matrix(old, new, sigma=sigma)
    picture = np.random.default_rng(3).random((old, old))
    large = cv2.resize(picture, (new, new), interpolation=cv2.INTER_LINEAR)
    side = 2 * round(4 * sigma) + 1
    smoothed = cv2.GaussianBlur(large, (side, side), sigma)
    np.testing.assert_allclose(matrix @ picture @ matrix.T, smoothed, atol=1e-6)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    resized = resize_bilinear(picture[None], size=(new, new))[0]
    np.testing.assert_allclose(large, resized, atol=1e-6)
