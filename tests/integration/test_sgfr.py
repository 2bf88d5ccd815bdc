"""The other method through every command: fit, score, and a line beside a model of the first."""

import json
from pathlib import Path

import cv2
import pytest

from streamline.cli import main
from streamline.model import SgfrDetector, load_model
from tests.support.clips import encode
from tests.support.line import RunningLine, json_lines
from tests.support.parts import parts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip to learn from, one to watch, whose last parts are scratched, and two models."""
    folder = tmp_path_factory.mktemp("sgfr")
    encode(parts(30, seed=31), folder / "normal.mp4")
    encode([*parts(12, seed=32), *parts(8, seed=33, defect=True)], folder / "watched.mp4")
    fit = ["fit", str(folder / "normal.mp4"), "--out"]
    bank = ["--method", "sgfr", "--samples", "12", "--sparsity", "5", "--bank", "int8"]
    assert main([*fit, str(folder / "bank"), *bank]) == 0
    assert main([*fit, str(folder / "subspaces")]) == 0
    return folder


def test_fit_keeps_what_was_asked_for_and_says_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    arguments = ["--layers", "block3, block4", "--sampling-level", "block4", "--score-by"]
    clip = str(folder / "normal.mp4")
    assert main(["fit", clip, "--out", str(out), "--method", "sgfr", *arguments, "maximum"]) == 0
    detector = load_model(out).detector
    assert isinstance(detector, SgfrDetector)
    assert detector.recipe.map_layers == ("block3", "block4")
    assert (detector.recipe.sampling_layer, detector.recipe.rule) == ("block4", "maximum")
    assert (detector.frames, detector.precision) == (30, "float16")
    assert "bank       30 frames in float16, " in capsys.readouterr().out


def test_scores_and_heat_maps_come_as_from_any_model(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, defect in (("sound", False), ("scratched", True)):
        (frame,) = parts(1, seed=34, defect=defect)
        cv2.imwrite(str(tmp_path / f"{name}.png"), frame[..., ::-1])
    maps = tmp_path / "maps"
    images = [str(tmp_path / "sound.png"), str(tmp_path / "scratched.png")]
    assert main(["score", str(folder / "bank"), *images, "--heatmaps", str(maps)]) == 0
    sound, scratched = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert scratched["verdict"] == "fail"
    assert scratched["score"] > 1.2 * sound["score"]
    assert {path.name for path in maps.iterdir()} == {"sound.png", "scratched.png"}


def test_a_line_runs_both_methods_side_by_side(folder: Path, tmp_path: Path) -> None:
    clip = str(folder / "watched.mp4")
    pipeline = tmp_path / "line.yaml"
    cameras = {
        name: {"source": clip, "model": str(folder / name), "queue": {"policy": "block"}}
        for name in ("bank", "subspaces")
    }
    sections = {
        "version": 1,
        "metrics": {"port": 0},
        "cameras": cameras,
        "record": {
            "verdicts": str(tmp_path / "verdicts.jsonl"),
            "evidence": str(tmp_path / "evidence"),
        },
    }
    pipeline.write_text(json.dumps(sections))
    with RunningLine(pipeline, tmp_path) as line:
        assert line.wait() == 0, line.log
        report = line.report()["cameras"]
    lines = json_lines(tmp_path / "verdicts.jsonl")
    for name in cameras:
        assert (report[name]["captured"], report[name]["in_flight"]) == (20, 0)
        verdicts = [line["verdict"] for line in lines if line["camera"] == name]
        assert len(verdicts) == 20
        assert verdicts[12:] == ["fail"] * 8
        assert verdicts[:12].count("pass") >= 9
        assert list((tmp_path / "evidence" / name).rglob("*.png"))


def test_options_of_the_other_method_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["fit", str(folder / "normal.mp4"), "--out", str(tmp_path / "model")]
    cases = [
        (["--samples", "5"], "--samples belongs to --method sgfr, not to fre-pca"),
        (["--bank", "int8"], "--bank belongs to --method sgfr, not to fre-pca"),
        (["--method", "sgfr", "--retain", "0.9"], "--retain belongs to --method fre-pca"),
        (["--method", "sgfr", "--layers", "block9"], "has no layer 'block9'"),
    ]
    for arguments, sentence in cases:
        capsys.readouterr()
        assert main([*fit, *arguments]) == 2
        told = capsys.readouterr().err.splitlines()
        assert len(told) == 1, arguments
        assert sentence in told[0]
    capsys.readouterr()
    rerank = ["model", "rerank", str(folder / "bank"), "--retain", "0.8", "--out"]
    assert main([*rerank, str(tmp_path / "model")]) == 2
    assert "a model that was fitted with FRE" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
