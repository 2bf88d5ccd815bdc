"""How trainings compare with principal directions, on a few drawn parts; what a model tells."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.linalg import subspace_angles

from streamline.errors import InputError
from streamline.evaluate import plan_runs
from streamline.evaluate.ablation import ABLATIONS, Ablation
from streamline.evaluate.ablation.directions import largest_angle
from streamline.evaluate.describe import describe
from streamline.fre import Training
from streamline.learn import FitSettings, SgfrSettings, fit_frames
from streamline.learn.settings import FreMethod
from streamline.progress import ignore_progress
from tests.support.parts import parts

LAYERS = ("block3", "block5")
TRAINING = Training(epochs=400)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("parts") / "disc"
    for use, count, defect in (
        ("train/good", 16, False),
        ("test/good", 4, False),
        ("test/scratch", 4, True),
    ):
        (root / use).mkdir(parents=True)
        for number, frame in enumerate(parts(count, seed=len(use), defect=defect)):
            cv2.imwrite(str(root / use / f"{number:03}.png"), frame[..., ::-1])
    return root


def ablated(root: Path, settings: FitSettings | SgfrSettings) -> Ablation:
    runs = plan_runs(root, "mvtec", seeds=[0])
    return ABLATIONS["method"](runs, settings, ignore_progress)


@pytest.fixture(scope="module")
def result(root: Path) -> Ablation:
    pytest.importorskip("torch")
    settings = FitSettings(score_layers=LAYERS, max_rank=6, training=TRAINING)
    return ablated(root, settings)


def test_trained_to_the_end_autoencoders_are_as_good_as_principal_directions(
    result: Ablation,
) -> None:
    rows = json.loads(result.to_json())["rows"]
    ends = {(row["layers"], row["method"]): row for row in rows if "method" in row}
    assert len(ends) == 3 * 4
    for layer in LAYERS:
        principal = ends[layer, "PCA"]
        for learner in ("AE", "AEt"):
            end = ends[layer, learner]
            assert 0 < end["epochs"] < 400
            assert 1 < end["relative_error"] <= 1.01
            assert end["angle_half"] <= end["angle"] < 90
            assert (end["k"], end["gap"]) == (principal["k"], principal["gap"])
            assert end["gap_half"] > end["gap"] > 1
        begun = ends[layer, "AE from PCA"]
        assert begun["epochs"] == 0
        assert begun["relative_error"] == pytest.approx(1, abs=1e-5)
        assert begun["angle"] < 0.1
        assert begun["image_auroc"] == principal["image_auroc"]
    assert {end["image_auroc"] for end in ends.values()} == {1.0}


def test_a_course_starts_far_off_and_ends_where_the_training_did(result: Ablation) -> None:
    rows = json.loads(result.to_json())["rows"]
    (end,) = [row for row in rows if (row.get("layers"), row.get("method")) == ("block5", "AEt")]
    course = [row for row in rows if row.get("training") == "AEt of block5"]
    assert [row["epoch"] for row in course] == list(range(end["epochs"] + 1))
    assert course[0]["relative_error"] > 1.2
    assert course[-1]["relative_error"] == end["relative_error"]
    assert course[-1]["image_auroc"] == end["image_auroc"]
    scored = [row["epoch"] for row in course if "image_auroc" in row]
    assert scored[:5] == [0, 1, 2, 5, 10]
    fused = [row for row in rows if row.get("training") == "AEt of block3+block5"]
    assert all("image_auroc" in row for row in fused)
    page = result.to_page()
    assert page.count("<svg") == 2
    assert "AE from PCA" in page


def test_where_all_directions_are_kept_nothing_is_trained_or_drawn(root: Path) -> None:
    pytest.importorskip("torch")
    result = ablated(root, FitSettings(score_layers=("block5",), retain=1.0))
    rows = json.loads(result.to_json())["rows"]
    assert [row["method"] for row in rows] == ["PCA", "AE", "AEt", "AE from PCA"]
    assert all((row["k"], row["gap"], "epochs" in row) == (15, None, False) for row in rows)
    assert "<svg" not in result.to_page()


def test_an_angle_is_the_largest_of_the_principal_angles() -> None:
    generator = np.random.default_rng(8)
    directions = np.linalg.qr(generator.normal(size=(40, 3)))[0].T
    learnt = directions + generator.normal(0, 0.1, (3, 40))
    learnt = np.vstack([learnt, generator.normal(size=(2, 40))])
    expected = np.degrees(subspace_angles(directions.T, learnt.T).max())
    assert largest_angle(directions, learnt) == pytest.approx(expected, abs=1e-4)


def test_without_torch_it_is_refused_before_an_image_is_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("streamline.autoencoder")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"in the checkout: pip install '\.\[torch\]'"):
        ablated(root, FitSettings(score_layers=LAYERS))


def test_sgfr_is_refused_and_trained_methods_are_where_nothing_is_trained(root: Path) -> None:
    with pytest.raises(InputError, match="of FRE, not of sgfr"):
        ablated(root, SgfrSettings())
    runs = plan_runs(root, "mvtec", seeds=[0])
    with pytest.raises(InputError, match="of FRE-PCA, not of fre-aet"):
        ABLATIONS["retained"](runs, FitSettings(method="fre-aet"), ignore_progress)


@pytest.mark.parametrize("method", ["fre-pca", "fre-ae", "fre-aet"])
def test_a_model_tells_how_it_was_learnt(method: FreMethod) -> None:
    if method != "fre-pca":
        pytest.importorskip("torch")
    settings = FitSettings(
        method=method, score_layers=("block5",), max_rank=4, training=Training(epochs=2)
    )
    described = describe(fit_frames(parts(10, seed=1), settings, source="parts").model)
    assert (described.method, described.paper, described.k) == (method, "fre", 4)
