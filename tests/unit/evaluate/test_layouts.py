"""Data sets are found as they lie on disk, and incomplete ones refused in one sentence."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamline.errors import InputError
from streamline.evaluate import Category, mtd_category, mvtec_categories


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((4, 4), np.uint8))
    return path


@pytest.fixture
def mvtec(tmp_path: Path) -> Path:
    """Two categories, the second without ground truth."""
    for name in ("bottle", "cable"):
        for index in range(3):
            write(tmp_path / name / "train" / "good" / f"{index:03}.png")
        write(tmp_path / name / "test" / "good" / "000.png")
        for kind in ("cut", "bent"):
            for index in range(2):
                write(tmp_path / name / "test" / kind / f"{index:03}.png")
                write(tmp_path / name / "ground_truth" / kind / f"{index:03}_mask.png")
    shutil.rmtree(tmp_path / "cable" / "ground_truth")
    (tmp_path / "readme").mkdir()
    return tmp_path


@pytest.fixture
def mtd(tmp_path: Path) -> Path:
    """Ten good tiles and two classes of defective ones."""
    for kind, count in (("MT_Free", 10), ("MT_Break", 2), ("MT_Crack", 1)):
        for index in range(count):
            write(tmp_path / kind / "Imgs" / f"{index}.jpg")
            write(tmp_path / kind / "Imgs" / f"{index}.png")
    return tmp_path


def counts(category: Category) -> tuple[int, int, int]:
    """Images fitted to, good ones tested, defective ones tested."""
    bad = sum(sample.anomalous for sample in category.test)
    return len(category.train), len(category.test) - bad, bad


def test_every_category_of_a_folder_is_found(mvtec: Path) -> None:
    bottle, cable = mvtec_categories(mvtec)
    assert (bottle.name, bottle.masked, counts(bottle)) == ("bottle", True, (3, 1, 4))
    assert (cable.name, cable.masked, counts(cable)) == ("cable", False, (3, 1, 4))


def test_each_defective_image_has_its_own_mask(mvtec: Path) -> None:
    (bottle,) = mvtec_categories(mvtec, only="bottle")
    pairs = [(one.image, one.mask) for one in bottle.test if one.anomalous]
    expected = [
        (
            mvtec / "bottle" / "test" / kind / f"{index}.png",
            mvtec / "bottle" / "ground_truth" / kind / f"{index}_mask.png",
        )
        for kind in ("bent", "cut")
        for index in ("000", "001")
    ]
    assert pairs == expected
    assert all(one.mask is None for one in bottle.test if not one.anomalous)


def test_a_category_itself_is_found(mvtec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one.name for one in mvtec_categories(mvtec / "cable")] == ["cable"]
    monkeypatch.chdir(mvtec / "cable")
    assert [one.name for one in mvtec_categories(Path())] == ["cable"]


def test_one_mask_missing_among_others_is_refused(mvtec: Path) -> None:
    missing = mvtec / "bottle" / "ground_truth" / "cut" / "001_mask.png"
    missing.unlink()
    with pytest.raises(InputError, match=rf"{missing} is missing, one of 1 such masks"):
        mvtec_categories(mvtec)


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        pytest.param("test/good", "test has no normal image", id="no-normal-test"),
        pytest.param("test", "test can't be read as a folder", id="no-test"),
        pytest.param("train", "no category 'bottle'; there are: cable", id="no-train"),
    ],
)
def test_an_incomplete_category_is_refused(mvtec: Path, removed: str, message: str) -> None:
    shutil.rmtree(mvtec / "bottle" / removed)
    with pytest.raises(InputError, match=message):
        mvtec_categories(mvtec, only="bottle")


def test_a_test_without_defects_is_refused(mvtec: Path) -> None:
    for kind in ("cut", "bent"):
        shutil.rmtree(mvtec / "bottle" / "test" / kind)
    with pytest.raises(InputError, match="test has no anomalous image"):
        mvtec_categories(mvtec)


@pytest.mark.parametrize("folder", ["train/good", "test/good", "test/cut"])
def test_an_empty_class_is_refused(mvtec: Path, folder: str) -> None:
    shutil.rmtree(mvtec / "bottle" / folder)
    (mvtec / "bottle" / folder).mkdir()
    with pytest.raises(InputError, match=f"{folder} has no image in it"):
        mvtec_categories(mvtec)


def test_a_folder_without_categories_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no category laid out like MVTec AD"):
        mvtec_categories(tmp_path)
    with pytest.raises(InputError, match="can't be read as a folder: No such file"):
        mvtec_categories(tmp_path / "absent")


def test_a_fifth_of_the_good_tiles_is_tested_as_the_seed_says(mtd: Path) -> None:
    category = mtd_category(mtd, seed=3)
    assert (category.name, category.masked, counts(category)) == ("mtd", True, (8, 2, 3))
    order = np.random.default_rng(3).permutation(10)
    tested = [int(one.image.stem) for one in category.test if not one.anomalous]
    assert tested == order[:2].tolist()
    assert {int(path.stem) for path in category.train} == set(order[2:].tolist())
    assert all(path.suffix == ".jpg" for path in category.train)


def test_the_masks_of_tiles_lie_beside_them(mtd: Path) -> None:
    for one in mtd_category(mtd, seed=0).test:
        assert one.mask == (one.image.with_suffix(".png") if one.anomalous else None)


def test_tiles_without_any_mask_are_unmarked(mtd: Path) -> None:
    for mask in [*mtd.glob("MT_Break/Imgs/*.png"), *mtd.glob("MT_Crack/Imgs/*.png")]:
        mask.unlink()
    assert mtd_category(mtd, seed=0).masked is False


def test_tiles_with_one_mask_missing_are_refused(mtd: Path) -> None:
    (mtd / "MT_Break" / "Imgs" / "1.png").unlink()
    with pytest.raises(InputError, match=r"MT_Break/Imgs/1.png is missing, one of 1"):
        mtd_category(mtd, seed=0)


def test_incomplete_tiles_are_refused(mtd: Path) -> None:
    for photograph in (mtd / "MT_Crack" / "Imgs").glob("*.jpg"):
        photograph.unlink()
    with pytest.raises(InputError, match=r"MT_Crack/Imgs has no \.jpg image"):
        mtd_category(mtd, seed=0)
    shutil.rmtree(mtd / "MT_Crack")
    shutil.rmtree(mtd / "MT_Break")
    with pytest.raises(InputError, match="no folder of defective tiles"):
        mtd_category(mtd, seed=0)
    for index in range(1, 10):
        (mtd / "MT_Free" / "Imgs" / f"{index}.jpg").unlink()
    with pytest.raises(InputError, match=r"too few images \(1\)"):
        mtd_category(mtd, seed=0)
    shutil.rmtree(mtd / "MT_Free")
    with pytest.raises(InputError, match="MT_Free/Imgs can't be read"):
        mtd_category(mtd, seed=0)
