"""The papers' figures: whole, and set beside the right ones."""

import pytest

from streamline.evaluate.published import Setting, compare, published_tables

PRODUCTS = (
    "carpet", "grid", "leather", "tile", "wood", "bottle", "cable", "capsule", "hazelnut",
    "metal_nut", "pill", "screw", "toothbrush", "transistor", "zipper",
)  # fmt: skip


def setting(backbone: str, layers: int, *, method: str = "fre", layout: str = "mvtec") -> Setting:
    count = dict.fromkeys(("image_auroc", "pixel_auroc", "pro"), layers)
    return Setting(method=method, layout=layout, backbone=backbone, layers=count)


@pytest.mark.parametrize("method", ["fre", "sgfr"])
def test_the_printed_averages_are_those_of_the_printed_products(method: str) -> None:
    """A misread digit would show, beyond what rounding to a tenth and the papers' own slips do."""
    whole = [one for one in published_tables(method, "mvtec") if set(PRODUCTS) <= set(one.values)]
    assert whole
    for one in whole:
        average = sum(one.values[name] for name in PRODUCTS) / len(PRODUCTS)
        assert one.values["mean"] == pytest.approx(average, abs=0.11), one.source


def test_the_same_backbone_and_number_of_layers_are_preferred() -> None:
    (one,) = compare({"pro": 0.95}, ["bottle"], setting("resnet18", 1))
    assert (one.paper, one.same_backbone) == (0.946, True)
    assert one.difference == pytest.approx(0.004)
    (three,) = compare({"pro": 0.95}, ["bottle"], setting("resnet18", 3))
    assert (three.paper, three.source) == (0.958, "FRE table 7: resnet18, 3 layers")


def test_another_backbone_is_compared_with_the_papers_best_and_says_so() -> None:
    image, pro = compare(
        {"image_auroc": 1.0, "pixel_auroc": 0.98, "pro": 0.9636, "fps": 200.0},
        ["bottle"],
        setting("efficientnet_lite0", 2),
    )
    assert (image.figure, image.paper, image.same_backbone) == ("image_auroc", 1.0, False)
    assert image.source == "FRE table 1: backbone not named"
    assert (pro.figure, pro.paper, pro.same_backbone) == ("pro", 0.96, False)


def test_magnetic_tiles_and_beantech_have_their_own_figures() -> None:
    tiles = setting("efficientnet_lite0", 2, layout="mtd")
    (one,) = compare({"image_auroc": 0.99}, ["mtd"], tiles)
    assert (one.paper, one.source) == (0.992, "FRE table 2: backbone not named")
    bean = setting("wide_resnet50_2", 2, method="sgfr", layout="btad")
    (two,) = compare({"pro": 0.7}, ["02"], bean)
    assert (two.paper, two.same_backbone) == (0.547, True)


def test_means_are_compared_over_all_of_a_data_sets_categories_only() -> None:
    mean = {"pro": 0.9, "fps": 60.0}
    assert compare(mean, PRODUCTS[:3], setting("resnet50", 3)) == []
    pro, fps = compare(mean, PRODUCTS, setting("resnet50", 3))
    assert (pro.paper, fps.paper) == (0.939, 52.6)
    assert [one.figure for one in compare(mean, PRODUCTS, setting("other", 3))] == ["pro"]


def test_what_no_paper_measured_has_nothing_beside_it() -> None:
    assert compare({"pro": 0.9}, ["gear"], setting("resnet18", 1)) == []
    assert compare({"pro": None}, ["bottle"], setting("resnet18", 1)) == []
    assert compare({"pro": 0.9}, ["lid"], setting("resnet18", 1, layout="folder")) == []
