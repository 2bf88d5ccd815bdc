"""The command that measures quality, on drawn parts and on real data sets."""

import base64
import json
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tests.support.line import streamline
from tests.support.parts import parts


def write(path: Path, frame: npt.NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), frame[..., ::-1] if frame.ndim == 3 else frame)


def scratch_of(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The mask of a drawn part's scratch: nothing else is as bright."""
    return np.where(frame[..., 0] > 230, 255, 0).astype(np.uint8)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A category of drawn parts, laid out like MVTec AD."""
    root = tmp_path_factory.mktemp("drawn") / "disc"
    for number, frame in enumerate(parts(40, seed=1)):
        write(root / "train" / "good" / f"{number:03}.png", frame)
    for number, frame in enumerate(parts(8, seed=2)):
        write(root / "test" / "good" / f"{number:03}.png", frame)
    for number, frame in enumerate(parts(8, seed=3, defect=True)):
        write(root / "test" / "scratch" / f"{number:03}.png", frame)
        write(root / "ground_truth" / "scratch" / f"{number:03}_mask.png", scratch_of(frame))
    return root


@pytest.fixture(scope="module")
def few(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a quarter of the images."""
    root = tmp_path_factory.mktemp("few") / "disc"
    for path in drawn.rglob("*.png"):
        if int(path.name[:3]) % 4 == 0:
            link = root / path.relative_to(drawn)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    return root


@pytest.fixture(scope="module")
def figures_of_few(few: Path) -> dict[str, dict[str, float]]:
    """What the models give, by method."""
    return {
        method: evaluated(
            few, "--layout", "mvtec", "--method", method, out=few.parent / f"{method}.json"
        )[0]["mean"]
        for method in ("fre-pca", "sgfr")
    }


@pytest.fixture
def copied(drawn: Path, tmp_path: Path) -> Path:
    """The same, to be damaged: folders of links."""
    for path in drawn.rglob("*.png"):
        link = tmp_path / "disc" / path.relative_to(drawn)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    return tmp_path / "disc"


FIGURES = ("image_auroc", "pixel_auroc", "pro", "fit_s", "fps", "model_bytes", "n", "k")


def evaluated(*arguments: str | Path, out: Path) -> tuple[dict[str, Any], str]:
    """Run the command; return its JSON document and what it said on standard error."""
    done = streamline("eval", *arguments, "--json", out, timeout_s=1500)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text()), done.stderr


def refused(*arguments: str | Path) -> str:
    done = streamline("eval", *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    return line


class Page(HTMLParser):
    """What a page is made of: that every element is closed, what it draws and refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: Counter[str] = Counter()
        self.references: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] += 1
        self.references += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def picture_of(uri: str) -> npt.NDArray[np.uint8]:
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(decoded, np.uint8)


def test_figures_of_drawn_parts_are_complete_and_good(drawn: Path, tmp_path: Path) -> None:
    document, _ = evaluated(
        drawn.parent, "--layout", "mvtec", "--page", tmp_path / "page",
        out=tmp_path / "figures.json",
    )  # fmt: skip
    page = Page((tmp_path / "page" / "index.html").read_text())
    assert page.open == []
    # histogram, ROC and PRO; four images of each kind, each with its map; all inside the file
    assert (page.count["svg"], page.count["img"]) == (3, 24)
    assert {picture_of(uri).shape for uri in page.references} == {(260, 260, 3)}
    assert set(document) == {"categories", "mean", "paper", "setup"}
    disc = document["categories"]["disc"]
    figures = {name: disc.pop(name) for name in FIGURES}
    assert document["mean"] == figures
    assert disc == {"spread": dict.fromkeys(FIGURES), "seeds": {}, "paper": {}}
    assert figures["image_auroc"] == 1.0
    assert figures["pixel_auroc"] > 0.95
    assert figures["pro"] > 0.8
    assert figures["fit_s"] > 0
    assert figures["fps"] > 0
    setup = document["setup"]
    assert (setup["layout"], setup["seed"], setup["size_px"]) == ("mvtec", None, [256, 256])
    (model,) = setup["models"].values()
    assert (model["train"], model["test"]) == (40, 16)
    assert (figures["n"], figures["k"]) == (40, sum(model["score_layers"].values()))
    # each direction is stored in half precision
    assert figures["model_bytes"] > 2 * 112 * 16 * 16 * model["score_layers"]["block4"]


def test_each_seed_has_its_figures_and_they_their_mean_and_spread(
    drawn: Path, tmp_path: Path
) -> None:
    """One's own pictures, and a layer other than the default's."""
    root = tmp_path / "lid"
    root.mkdir()
    (root / "good").symlink_to(drawn / "train" / "good")
    (root / "scratch").symlink_to(drawn / "test" / "scratch")
    (root / "ground_truth").symlink_to(drawn / "ground_truth")
    document, _ = evaluated(
        root, "--layout", "folder", "--seeds", "0,2", "--layers", "block3", "--retain", "0.8",
        out=tmp_path / "figures.json",
    )  # fmt: skip
    lid = document["categories"]["lid"]
    assert set(lid["seeds"]) == {"0", "2"}
    for name in FIGURES:
        values = [lid["seeds"][seed][name] for seed in ("0", "2")]
        assert lid[name] == pytest.approx(np.mean(values))
        assert lid["spread"][name] == pytest.approx(np.std(values, ddof=1))
    assert (lid["n"], lid["image_auroc"]) == (32, 1.0)
    assert lid["pixel_auroc"] > 0.9
    setup = document["setup"]
    assert (setup["seed"], setup["seeds"], setup["retain"]) == (0, [0, 2], 0.8)
    (model,) = setup["models"].values()
    assert set(model["score_layers"]) == set(model["map_layers"]) == {"block3"}


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("name", "charts", "row"),
    [
        ("retained", 3, {"layers": "block4+block5, map block2+block3", "retain": 0.9}),
        ("layers", 1, {"layers": "block4+block5, map block2+block3"}),
        ("bank", 5, {"frames": "pursuit", "p": 50}),
        ("levels", 1, {"levels": "block2+block4"}),
    ],
)
def test_an_ablation_agrees_with_what_the_model_gives(
    few: Path,
    figures_of_few: dict[str, dict[str, float]],
    tmp_path: Path,
    name: str,
    charts: int,
    row: dict[str, float],
) -> None:
    """Its features come from one graph for all layers, which rounds a little otherwise."""
    document, _ = evaluated(
        few, "--layout", "mvtec", "--ablation", name, "--page", tmp_path / "page",
        out=tmp_path / "figures.json",
    )  # fmt: skip
    (found,) = [one for one in document["rows"] if row.items() <= one.items()]
    method = "sgfr" if name in {"bank", "levels"} else "fre-pca"
    for figure in {"image_auroc", "pixel_auroc", "pro", "k"} & set(found):
        assert found[figure] == pytest.approx(figures_of_few[method][figure], rel=5e-3), figure
    page = Page((tmp_path / "page" / "index.html").read_text())
    assert (page.open, page.count["svg"]) == ([], charts)


def test_without_ground_truth_pixel_figures_are_null_with_a_warning(
    copied: Path, tmp_path: Path
) -> None:
    (copied / "ground_truth").rename(tmp_path / "away")
    document, said = evaluated(
        copied, "--layout", "mvtec", "--seeds", "0-4", out=tmp_path / "figures.json"
    )
    figures = document["categories"]["disc"]
    assert figures["image_auroc"] == 1.0
    assert (figures["pixel_auroc"], figures["pro"]) == (None, None)
    assert (document["mean"]["pixel_auroc"], document["mean"]["pro"]) == (None, None)
    assert "warning: disc: no ground truth, so pixel AUROC and PRO can't be measured" in said
    assert "a split of their own, so --seeds 0-4 changes nothing" in said


def test_one_mask_missing_is_refused(copied: Path) -> None:
    (copied / "ground_truth" / "scratch" / "003_mask.png").unlink()
    assert "003_mask.png is missing; complete the data set" in refused(copied, "--layout", "mvtec")


@pytest.mark.parametrize("folder", ["train/good", "test/scratch", "ground_truth/scratch"])
def test_an_image_that_is_none_is_refused(copied: Path, folder: str) -> None:
    path = min((copied / folder).iterdir())
    path.unlink()
    path.write_bytes(b"no picture at all")
    assert f"{path} is not an image" in refused(copied, "--layout", "mvtec")


def test_a_mask_of_another_size_is_refused(copied: Path) -> None:
    path = copied / "ground_truth" / "scratch" / "000_mask.png"
    path.unlink()
    write(path, np.full((128, 256), 255, np.uint8))
    assert "is 128 x 256 px, but its image is 256 x 256" in refused(copied, "--layout", "mvtec")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(("--layout", "mvtec", "--category", "cap"), "no category 'cap'", id="absent"),
        pytest.param(("--layout", "mtd"), "MT_Free", id="other-layout"),
        pytest.param(("--layout", "mtd", "--category", "disc"), "there are: mtd", id="of-mtd"),
        pytest.param(
            ("--layout", "mvtec", "--method", "sgfr", "--ablation", "retained"),
            "this ablation is of FRE, not of sgfr",
            id="ablation",
        ),
        pytest.param(("--layout", "mvtec", "--seeds", "4-0"), "from low to high", id="seeds"),
        pytest.param(("--layout", "mvtec", "--retain", "1.5"), "must be in (0, 1]", id="retain"),
        pytest.param(("--layout", "mvtec", "--layers", "block9"), "no layer 'block9'", id="layers"),
        pytest.param(
            ("--layout", "mvtec", "--backbone", "net"), "no backbone 'net'", id="backbone"
        ),
        pytest.param(("--layout", "coco"), "coco", id="unknown-layout"),
        pytest.param((), "--layout", id="no-layout"),
    ],
)
def test_what_can_not_be_evaluated_is_refused(
    drawn: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    assert sentence in refused(drawn, *arguments)


@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_bottle_reaches_the_stated_quality(shared_dir: Path, tmp_path: Path) -> None:
    root = shared_dir / "data" / "mvtec"
    document, _ = evaluated(root, "--layout", "mvtec", out=tmp_path / "figures.json")
    figures = document["categories"]["bottle"]
    assert figures["image_auroc"] == 1.0
    assert figures["pro"] > 0.96
    assert figures["pixel_auroc"] > 0.98


@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_magnetic_tiles_reach_the_stated_quality(shared_dir: Path, tmp_path: Path) -> None:
    root = shared_dir / "data" / "mtd"
    document, _ = evaluated(root, "--layout", "mtd", out=tmp_path / "figures.json")
    assert document["categories"]["mtd"]["image_auroc"] > 0.987
    assert document["setup"]["seed"] == 0
