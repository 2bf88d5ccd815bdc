"""Data sets are found as they lie on disk, and incomplete ones refused in one sentence."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamline.cli.eval import Layout
from streamline.errors import InputError
from streamline.evaluate import LAYOUTS, Category, find_categories


def find(layout: str, root: Path, *, seed: int = 0, only: str | None = None) -> list[Category]:
    return find_categories(root, layout, seed=seed, only=only)


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
    bottle, cable = find("mvtec", mvtec)
    assert (bottle.name, bottle.masked, counts(bottle)) == ("bottle", True, (3, 1, 4))
    assert (cable.name, cable.masked, counts(cable)) == ("cable", False, (3, 1, 4))


def test_each_defective_image_has_its_own_mask(mvtec: Path) -> None:
    (bottle,) = find("mvtec", mvtec, only="bottle")
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
    assert [one.name for one in find("mvtec", mvtec / "cable")] == ["cable"]
    monkeypatch.chdir(mvtec / "cable")
    assert [one.name for one in find("mvtec", Path())] == ["cable"]


def test_one_mask_missing_among_others_is_refused(mvtec: Path) -> None:
    missing = mvtec / "bottle" / "ground_truth" / "cut" / "001_mask.png"
    missing.unlink()
    with pytest.raises(InputError, match=rf"{missing} is missing; complete"):
        find("mvtec", mvtec)


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
        find("mvtec", mvtec, only="bottle")


def test_a_test_without_defects_is_refused(mvtec: Path) -> None:
    for kind in ("cut", "bent"):
        shutil.rmtree(mvtec / "bottle" / "test" / kind)
    with pytest.raises(InputError, match="test has no anomalous image"):
        find("mvtec", mvtec)


@pytest.mark.parametrize("folder", ["train/good", "test/good", "test/cut"])
def test_an_empty_class_is_refused(mvtec: Path, folder: str) -> None:
    shutil.rmtree(mvtec / "bottle" / folder)
    (mvtec / "bottle" / folder).mkdir()
    with pytest.raises(InputError, match=f"{folder} has no image in it"):
        find("mvtec", mvtec)


def test_a_folder_without_categories_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no category laid out like MVTec AD"):
        find("mvtec", tmp_path)
    with pytest.raises(InputError, match="can't be read as a folder: No such file"):
        find("mvtec", tmp_path / "absent")


def test_a_fifth_of_the_good_tiles_is_tested_as_the_seed_says(mtd: Path) -> None:
    category = find("mtd", mtd, seed=3)[0]
    assert (category.name, category.masked, counts(category)) == ("mtd", True, (8, 2, 3))
    order = np.random.default_rng(3).permutation(10)
    tested = [int(one.image.stem) for one in category.test if not one.anomalous]
    assert tested == order[:2].tolist()
    assert {int(path.stem) for path in category.train} == set(order[2:].tolist())
    assert all(path.suffix == ".jpg" for path in category.train)


def test_the_masks_of_tiles_lie_beside_them(mtd: Path) -> None:
    for one in find("mtd", mtd)[0].test:
        assert one.mask == (one.image.with_suffix(".png") if one.anomalous else None)


def test_tiles_without_any_mask_are_unmarked(mtd: Path) -> None:
    for mask in [*mtd.glob("MT_Break/Imgs/*.png"), *mtd.glob("MT_Crack/Imgs/*.png")]:
        mask.unlink()
    assert find("mtd", mtd)[0].masked is False


def test_tiles_with_one_mask_missing_are_refused(mtd: Path) -> None:
    (mtd / "MT_Break" / "Imgs" / "1.png").unlink()
    with pytest.raises(InputError, match=r"MT_Break/Imgs/1.png is missing; complete"):
        find("mtd", mtd)[0]


def test_incomplete_tiles_are_refused(mtd: Path) -> None:
    for photograph in (mtd / "MT_Crack" / "Imgs").glob("*.jpg"):
        photograph.unlink()
    with pytest.raises(InputError, match=r"MT_Crack/Imgs has no \.jpg image"):
        find("mtd", mtd)[0]
    shutil.rmtree(mtd / "MT_Crack")
    shutil.rmtree(mtd / "MT_Break")
    with pytest.raises(InputError, match="no folder of defective tiles"):
        find("mtd", mtd)[0]
    for index in range(1, 10):
        (mtd / "MT_Free" / "Imgs" / f"{index}.jpg").unlink()
    with pytest.raises(InputError, match=r"too few images \(1\)"):
        find("mtd", mtd)[0]
    shutil.rmtree(mtd / "MT_Free")
    with pytest.raises(InputError, match="MT_Free/Imgs can't be read"):
        find("mtd", mtd)[0]


@pytest.fixture
def btad(tmp_path: Path) -> Path:
    """Two products; the masks of the second are another kind of picture than its images."""
    for name, mask in (("01", ".png"), ("03", ".png")):
        image = ".bmp" if name == "03" else ".png"
        for index in range(3):
            write(tmp_path / name / "train" / "ok" / f"{index:04}{image}")
        write(tmp_path / name / "test" / "ok" / f"0000{image}")
        for index in range(2):
            write(tmp_path / name / "test" / "ko" / f"{index:04}{image}")
            write(tmp_path / name / "ground_truth" / "ko" / f"{index:04}{mask}")
    return tmp_path


def test_beantech_masks_have_the_names_of_their_images(btad: Path) -> None:
    first, second = find("btad", btad)
    assert [(one.name, counts(one)) for one in (first, second)] == [
        ("01", (3, 1, 2)),
        ("03", (3, 1, 2)),
    ]
    pairs = [(one.image.name, one.mask and one.mask.name) for one in second.test if one.anomalous]
    assert pairs == [("0000.bmp", "0000.png"), ("0001.bmp", "0001.png")]


def test_a_beantech_mask_missing_is_refused(btad: Path) -> None:
    (btad / "03" / "ground_truth" / "ko" / "0001.png").unlink()
    with pytest.raises(InputError, match=r"03/ground_truth/ko/0001\.png is missing; complete"):
        find("btad", btad)


@pytest.fixture
def visa(tmp_path: Path) -> Path:
    """Two products as VisA is downloaded; the table names more than it has of neither."""
    lines = ["object,split,label,image,mask"]
    for name in ("candle", "pcb1"):
        data = Path(name, "Data")
        for index in range(4):
            image = write(tmp_path / data / "Images" / "Normal" / f"{index:04}.JPG")
            split = "train" if index < 3 else "test"
            lines.append(f"{name},{split},normal,{image.relative_to(tmp_path)},")
        for index in range(2):
            image = write(tmp_path / data / "Images" / "Anomaly" / f"{index:03}.JPG")
            mask = write(tmp_path / data / "Masks" / "Anomaly" / f"{index:03}.png")
            both = f"{image.relative_to(tmp_path)},{mask.relative_to(tmp_path)}"
            lines.append(f"{name},test,anomaly,{both}")
    table = tmp_path / "split_csv" / "1cls.csv"
    table.parent.mkdir()
    table.write_text("\n".join(lines) + "\n")
    return tmp_path


def test_visa_is_split_by_its_table(visa: Path) -> None:
    candle, pcb = find("visa", visa)
    assert (candle.name, candle.masked, counts(candle)) == ("candle", True, (3, 1, 2))
    assert (pcb.name, counts(pcb)) == ("pcb1", (3, 1, 2))
    assert candle.test[1].mask == visa / "candle/Data/Masks/Anomaly/000.png"
    assert candle.mask_above == 0  # VisA numbers its kinds of defect from 1
    assert [one.name for one in find("visa", visa, only="pcb1")] == ["pcb1"]


def test_visa_as_its_own_script_arranges_it_is_found(tmp_path: Path) -> None:
    for place in ("train/good", "test/good", "test/bad", "ground_truth/bad"):
        write(tmp_path / "candle" / place / "000.png")
    (candle,) = find("visa", tmp_path)
    assert (candle.name, candle.mask_above, counts(candle)) == ("candle", 0, (1, 1, 1))
    assert candle.test[0].mask == tmp_path / "candle/ground_truth/bad/000.png"


def test_visa_without_any_mask_is_unmarked_and_with_one_missing_refused(visa: Path) -> None:
    masks = visa / "candle" / "Data" / "Masks" / "Anomaly"
    (masks / "001.png").unlink()
    with pytest.raises(InputError, match=r"Masks/Anomaly/001\.png is missing"):
        find("visa", visa, only="candle")
    (masks / "000.png").unlink()
    (candle,) = find("visa", visa, only="candle")
    assert candle.masked is False
    assert all(one.mask is None for one in candle.test)


@pytest.mark.parametrize(
    ("line", "number"),
    [
        pytest.param("candle,train,normal", 2, id="too-short"),
        pytest.param("candle,both,normal,a.png,", 2, id="unknown-split"),
        pytest.param("candle,test,odd,a.png,", 2, id="unknown-label"),
    ],
)
def test_a_table_that_is_not_visas_is_refused(visa: Path, line: str, number: int) -> None:
    table = visa / "split_csv" / "1cls.csv"
    table.write_text(f"object,split,label,image,mask\n{line}\n")
    with pytest.raises(InputError, match=rf"1cls\.csv:{number}: expected object,split,label"):
        find("visa", visa)


def sorted_pictures(root: Path, **folders: int) -> Path:
    """Folders of so many images each, ``__`` standing for a step down."""
    for name, count in folders.items():
        for index in range(count):
            write(root / name.replace("__", "/") / f"{index}.png")
    return root


def test_ones_own_pictures_are_split_as_the_seed_says(tmp_path: Path) -> None:
    root = sorted_pictures(tmp_path / "lid", good=10, bent=2, scratched=3)
    (lid,) = find("folder", root, seed=3)
    assert (lid.name, lid.masked, lid.drawn, counts(lid)) == ("lid", False, True, (8, 2, 5))
    order = np.random.default_rng(3).permutation(10)
    tested = [int(one.image.stem) for one in lid.test if not one.anomalous]
    assert tested == order[:2].tolist()


def test_ones_own_split_is_kept(tmp_path: Path) -> None:
    root = sorted_pictures(tmp_path / "lid", train=6, test__ok=2, test__bent=1)
    (lid,) = find("folder", root)
    assert (lid.drawn, counts(lid)) == (False, (6, 2, 1))


def test_without_good_ones_in_the_test_a_fifth_of_the_train_is_drawn(tmp_path: Path) -> None:
    root = sorted_pictures(tmp_path / "lid", train__good=10, test__bent=1)
    (lid,) = find("folder", root)
    assert (lid.drawn, counts(lid)) == (True, (8, 2, 1))


@pytest.mark.parametrize("ending", ["", "_mask"])
def test_masks_of_ones_own_pictures_are_found(tmp_path: Path, ending: str) -> None:
    root = sorted_pictures(tmp_path / "lid", good=10, bent=2)
    masks = [write(root / "ground_truth" / "bent" / f"{index}{ending}.bmp") for index in (0, 1)]
    (lid,) = find("folder", root)
    assert [one.mask for one in lid.test if one.anomalous] == masks
    masks[1].unlink()
    with pytest.raises(InputError, match=r"ground_truth/bent/1\.png is missing; complete"):
        find("folder", root)


def test_ones_own_pictures_without_a_normal_or_a_defective_class_are_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match="no folder of normal images"):
        find("folder", sorted_pictures(tmp_path / "bad", bent=2))
    with pytest.raises(InputError, match="has no anomalous image"):
        find("folder", sorted_pictures(tmp_path / "good", good=10))
    root = sorted_pictures(tmp_path / "empty", good=10, bent=1)
    (root / "torn").mkdir()
    with pytest.raises(InputError, match="torn has no image in it"):
        find("folder", root)


def test_every_layout_of_the_command_is_known() -> None:
    assert list(LAYOUTS) == [one.value for one in Layout]
