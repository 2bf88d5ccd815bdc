"""The commands fit and score, from pictures on disk to lines on the screen."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from streamline.cli import main
from streamline.model import load_calibration, load_model
from tests.support.parts import parts


def draw(folder: Path, n: int, *, seed: int, defect: bool = False) -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(parts(n, seed=seed, defect=defect)):
        cv2.imwrite(str(folder / f"{number:03}.png"), frame[..., ::-1])
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("parts") / "good", 24, seed=21)


@pytest.fixture(scope="module")
def model(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "model"
    assert main(["fit", str(good), "--out", str(path)]) == 0
    return path


def test_fit_says_what_it_chose(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    assert (
        main(
            ["fit", str(good), "--out", str(out), "--retain", "0.8", "--every", "2", "--hold", "50"]
        )
        == 0
    )
    told = capsys.readouterr().out
    fitted = load_model(out)
    assert f"{fitted.threshold:.6g}" in told
    assert "12, about" in told
    assert "the smallest 12 frames support" in told
    assert f"block5 {fitted.fre.score_layers['block5'].subspace.rank}" in told
    assert fitted.fre.retain == 0.8
    assert fitted.source == str(good)


def test_a_model_is_made_smaller_without_its_pictures(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = tmp_path / "small"
    capsys.readouterr()
    assert main(["model", "rerank", str(model), "--retain", "0.7", "--out", str(small)]) == 0
    told = capsys.readouterr().out
    before, after = load_model(model), load_model(small)
    assert after.fre.retain == 0.7
    for name, layer in after.fre.score_layers.items():
        assert layer.subspace.rank < before.fre.score_layers[name].subspace.rank
    assert f"{after.threshold:.6g}" in told
    assert after.threshold > before.threshold
    assert main(["model", "rerank", str(small), "--retain", "0.9", "--out", str(model)]) == 2
    assert main(["model", "rerank", str(small), "--retain", "0.9", "--out", f"{small}er"]) == 2
    refused = capsys.readouterr().err.splitlines()
    assert len(refused) == 2
    assert "fit again" in refused[1]


def test_a_model_is_trained_by_back_propagation_and_scores(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    out = tmp_path / "trained"
    fit = ["fit", str(good), "--method", "fre-aet", "--retain", "0.6", "--out", str(out)]
    assert main([*fit, "--epochs", "40", "--device", "nowhere"]) == 2
    assert "torch can't train on 'nowhere'" in capsys.readouterr().err
    assert main([*fit, "--epochs", "40"]) == 0
    capsys.readouterr()
    assert main(["score", str(out), str(good / "000.png")]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "pass"
    assert main(["model", "rerank", str(out), "--retain", "0.5", "--out", f"{out}-small"]) == 2
    assert "fit with --method fre-pca" in capsys.readouterr().err


def test_score_tells_sound_from_scratched_parts(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scratched = draw(tmp_path / "scratched", 3, seed=22, defect=True)
    sound = draw(tmp_path / "sound", 9, seed=23)
    capsys.readouterr()
    assert main(["score", str(model), str(scratched), str(sound / "004.png"), str(sound)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [set(row) for row in rows] == [
        {"image", "score", "p_value", "threshold", "verdict"}
    ] * 13
    assert [row["image"] for row in rows[:4]] == [
        *(str(scratched / f"{n:03}.png") for n in range(3)),
        str(sound / "004.png"),
    ]
    assert {row["threshold"] for row in rows} == {load_model(model).threshold}
    alpha = load_model(model).calibration.alpha
    assert [row["verdict"] for row in rows[:3]] == ["fail"] * 3
    assert [row["verdict"] for row in rows].count("pass") >= 8
    for row in rows:
        assert (row["verdict"] == "fail") == (row["score"] > row["threshold"])
        assert (row["verdict"] == "fail") == (row["p_value"] <= alpha)
    assert rows[3]["score"] == pytest.approx(rows[8]["score"], rel=1e-5)


def test_a_model_is_calibrated_again_and_for_one_camera(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, own = tmp_path / "copy", tmp_path / "left.json"
    shutil.copytree(model, copy)
    fresh = str(draw(tmp_path / "fresh", 40, seed=31))
    assert main(["model", "calibrate", str(copy), fresh, "--alpha", "0.05", "--to", str(own)]) == 0
    told = capsys.readouterr().out
    assert "a probability of at most 0.05, if it is exchangeable with these" in told
    assert load_model(copy).calibration.way == "cross-fit"
    scores = [rows["score"] for rows in scored(copy, fresh, capsys)]
    found = load_calibration(own)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5)
    assert (found.way, found.threshold) == ("split", np.sort(found.scores)[-2])
    assert found.scene is not None
    assert main(["model", "calibrate", str(copy), fresh, "--alpha", "0.01"]) == 2
    assert "needs at least 99 normal frames, got 40" in capsys.readouterr().err
    assert main(["model", "calibrate", str(copy), fresh, "--alpha", "0.1"]) == 0
    again = load_model(copy)
    assert (again.calibration.way, again.calibration.alpha) == ("split", 0.1)
    assert again.digest == load_model(model).digest
    assert main(["model", "rerank", str(copy), "--retain", "0.5", "--out", f"{copy}-small"]) == 2
    assert "calibrated again after its fit" in capsys.readouterr().err


def scored(model: Path, images: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, float]]:
    capsys.readouterr()
    assert main(["score", str(model), images]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_model_says_what_it_promises_and_what_not(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "figures.json"
    arguments = ["model", "show", str(model), "--fps", "5", "--k", "2", "--n", "4"]
    assert main([*arguments, "--json", str(figures)]) == 0
    told = capsys.readouterr().out
    for words in ("promised", "not promised", "2 of 4 fails", "an hour", "a shift of 8 h"):
        assert words in told
    found, fitted = json.loads(figures.read_text()), load_model(model)
    assert found["model"] == fitted.digest
    assert found["threshold"] == fitted.threshold
    upper = found["alerts"]["upper"]
    assert found["alerts_per_hour_upper"] == pytest.approx(upper * 5 * 3600)
    assert main(["model", "show", str(model), "--k", "5", "--n", "4"]) == 2


def spotted(frame: npt.NDArray[np.uint8], y: int, x: int) -> npt.NDArray[np.uint8]:
    frame = frame.copy()
    cv2.circle(frame, (x, y), 10, (255, 255, 255), -1)
    return frame


@pytest.mark.parametrize("method", ["fre-pca", "sgfr"])
def test_what_is_masked_does_not_fail_and_what_is_not_does(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    sound = parts(6, seed=41)
    for name, (y, x) in {"hidden": (206, 206), "shown": (60, 60)}.items():
        (tmp_path / name).mkdir()
        for number, frame in enumerate(sound):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), spotted(frame, y, x)[..., ::-1])
    corner = ["--mask", "150,150 256,150 256,256 150,256"]
    masked, whole = str(tmp_path / "masked"), str(tmp_path / "whole")
    fit = ["fit", str(good), "--method", method, "--alpha", "0.05"]
    assert main([*fit, "--out", masked, *corner]) == 0
    assert main([*fit, "--out", whole]) == 0

    def fails(model: str, folder: str) -> int:
        rows = scored(Path(model), str(tmp_path / folder), capsys)
        return sum(row["p_value"] <= 0.05 for row in rows)

    assert load_model(Path(masked)).mask is not None
    assert (fails(whole, "hidden"), fails(whole, "shown")) == (6, 6)
    assert (fails(masked, "hidden"), fails(masked, "shown")) == (0, 6)
    assert main([*fit, "--out", str(tmp_path / "none"), "--mask", "0,0 999,0 999,999 0,999"]) == 2
    assert "--mask: the mask covers everything" in capsys.readouterr().err
    if method == "fre-pca":
        own = str(tmp_path / "left.json")
        again = ["model", "calibrate", whole, str(good), "--alpha", "0.05", *corner]
        assert main([*again, "--to", own]) == 0
        assert load_calibration(Path(own)).mask == load_model(Path(masked)).mask
        assert main(again) == 2
        assert "give --to FILE" in capsys.readouterr().err


def test_heat_maps_are_drawn_over_the_pictures(model: Path, tmp_path: Path) -> None:
    draw(tmp_path / "shots" / "left", 1, seed=24, defect=True)
    draw(tmp_path / "shots" / "right", 1, seed=25, defect=True)
    folders = [str(tmp_path / "shots" / side) for side in ("left", "right")]
    maps = tmp_path / "maps"
    assert main(["score", str(model), *folders, "--heatmaps", str(maps)]) == 0
    for side in ("left", "right"):
        drawn = cv2.imread(str(maps / side / "000.png"))
        plain = cv2.imread(str(tmp_path / "shots" / side / "000.png"))
        assert drawn is not None
        assert plain is not None
        assert drawn.shape == plain.shape
        assert (drawn != plain).any()


def test_bottles_are_told_apart(
    shared_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bottle = shared_dir / "data" / "mvtec" / "bottle"
    out = tmp_path / "model"
    assert (
        main(["fit", str(bottle / "train" / "good"), "--out", str(out), "--max-frames", "80"]) == 0
    )
    capsys.readouterr()
    assert main(["score", str(out), str(bottle / "test" / "broken_large")]) == 0
    broken = [json.loads(line)["verdict"] for line in capsys.readouterr().out.splitlines()]
    assert broken == ["fail"] * 20


def test_a_clip_is_enough_to_fit(shared_dir: Path, tmp_path: Path) -> None:
    clip = shared_dir / "data" / "video" / "bottle-detection.mp4"
    out = tmp_path / "model"
    arguments = ["fit", str(clip), "--out", str(out), "--seconds", "4", "--max-frames", "24"]
    assert main(arguments) == 0
    assert 20 <= load_model(out).calibration.frames <= 24


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence on standard error of a command that must exit with 2."""
    capsys.readouterr()
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    (sentence,) = told.err.splitlines()
    return sentence


def test_wrong_input_is_one_sentence(
    good: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, empty = tmp_path / "gone.mp4", tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "notes.txt").write_text("no video")
    new = ["--out", str(tmp_path / "new")]
    cases = [
        (["fit", str(gone), *new], "there is no file"),
        (["fit", str(empty), *new], "has no image in it"),
        (["fit", str(tmp_path / "notes.txt"), *new], "can't be read as a video"),
        (["fit", str(good), "--out", str(model)], "replace it with --force"),
        (["fit", str(good), "--out", str(good), "--force"], "is no model directory"),
        (["fit", str(good), *new, "--alpha", "0.01"], "needs at least 99 normal frames, got 24"),
        (["fit", str(good), *new, "--roi", "1,2"], "--roi must be X,Y,W,H"),
        (["score", str(model), str(gone)], "can't be read"),
        (["score", str(model), str(empty)], "has no image in it"),
        (["score", str(empty), str(good)], "manifest.json is missing; fit one: streamline fit"),
        (["model", "show", str(gone)], f"there is no folder {gone}; fit one: streamline fit"),
        (["score", str(tmp_path / "notes.txt"), str(good)], "is a file, a model is a directory"),
    ]
    for arguments, expected in cases:
        assert expected in refusal(arguments, capsys), arguments
    assert not (tmp_path / "new").exists()


def test_force_replaces_a_model(good: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    assert main(["fit", str(good), "--out", str(out)]) == 0
    first = load_model(out)
    again = ["fit", str(good), "--out", str(out), "--max-frames", "12", "--force"]
    assert main(again) == 0
    assert load_model(out).digest != first.digest
    assert load_model(out).calibration.frames == 12


def test_an_image_that_can_not_be_read_is_named(
    good: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torn.png").write_bytes((good / "000.png").read_bytes()[:100])
    assert "torn.png" in refusal(["score", str(model), str(tmp_path)], capsys)
