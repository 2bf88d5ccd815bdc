"""What the command says of backbones, with torch and on a machine without."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from streamline.model import load_model
from tests.support.line import streamline
from tests.support.parts import parts

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from streamline.cli import main\n"


def without_torch(
    *arguments: str | Path, cache: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command where torch can't be imported and, with `cache`, nothing was exported."""
    code = f"{WITHOUT_TORCH}sys.exit(main({[str(one) for one in arguments]!r}))"
    environment = (
        dict(os.environ) if cache is None else {**os.environ, "XDG_CACHE_HOME": str(cache)}
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )


def draw(folder: Path, n: int, *, seed: int) -> Path:
    folder.mkdir()
    for number, frame in enumerate(parts(n, seed=seed)):
        cv2.imwrite(str(folder / f"{number:03}.png"), frame[..., ::-1])
    return folder


def test_a_model_on_another_backbone_runs_on_a_machine_without_torch(tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("not installed: torch")
    import torch

    from tests.support.networks import random_network

    torch.save(random_network("mobilenet_v3_small", seed=2).state_dict(), tmp_path / "small.pth")
    good = draw(tmp_path / "good", 12, seed=3)
    network = ("--backbone", "mobilenet_v3_small", "--weights", tmp_path / "small.pth")
    layers = ("--layers", "stage3,features.4", "--map-layers", "stage2", "--size", "96")
    here = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = (sys.executable, "-m", "streamline", "fit", good, "--out", tmp_path / "made")
    done = subprocess.run(
        [*command, *network, *layers], capture_output=True, text=True, check=False, env=here
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "small.pth").unlink()
    (tmp_path / "made").rename(tmp_path / "model")
    (tmp_path / "cache").rename(tmp_path / "gone")

    done = without_torch(
        "score", tmp_path / "model", good, "--heatmaps", tmp_path / "maps", cache=tmp_path / "other"
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(list((tmp_path / "maps").iterdir())) == 12
    assert all(row["score"] > 0 for row in rows)
    model = load_model(tmp_path / "model")
    assert model.backbone.name == "mobilenet_v3_small"
    assert (model.height, model.width, model.map_shape) == (96, 96, (24, 24))
    assert set(model.fre.score_layers) == {"stage3", "features.4"}
    assert set(model.fre.map_layers) == {"stage2"}


def test_fitting_on_another_backbone_without_torch_is_one_sentence(tmp_path: Path) -> None:
    good = draw(tmp_path / "good", 8, seed=3)
    done = without_torch("fit", good, "--backbone", "resnet18", "--out", tmp_path / "model")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "torch is not installed; in the checkout: pip install '.[torch]'" in done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param(["--backbone", "resnet9"], "did you mean resnet50", id="backbone"),
        pytest.param(
            ["--backbone", "timm.resnet50"], "name the layers of timm.resnet50", id="none"
        ),
        pytest.param(["--precision", "fp16"], "'int8', 'bf16', 'f32'", id="precision"),
        pytest.param(["--size", "200"], "multiple of 32", id="size"),
        pytest.param(["--weights", "nowhere.pth"], "nowhere.pth: no such weights", id="weights"),
    ],
)
def test_what_can_not_be_fitted_on_is_one_sentence(
    options: list[str], sentence: str, tmp_path: Path
) -> None:
    good = draw(tmp_path / "good", 8, seed=3)
    done = streamline("fit", good, *options, "--out", tmp_path / "model")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert sentence in done.stderr


def test_every_backbone_is_listed_with_its_layers_and_where_its_weights_are() -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("not installed: torch")
    done = streamline("model", "list-backbones", "--size", "320")
    assert done.returncode == 0, done.stderr
    table, _, weights = done.stdout.partition("\nweights\n")
    rows = [line.split() for line in table.splitlines()]
    assert ["wide_resnet50_2", "layer1", "256", "80", "80", "4", "map"] in rows
    assert ["stage4", "512", "40", "40", "8", "score", "+", "map", "map"] in rows
    assert ["layer4", "2048", "10", "10", "32", "sampling"] in rows
    assert "resnet18: " in weights
    assert "efficientnet_lite0: at hand, shipped" in weights


def test_without_torch_the_shipped_backbone_is_listed_and_the_rest_told_in_a_sentence() -> None:
    done = without_torch("model", "list-backbones")
    assert done.returncode == 0, done.stderr
    assert "block5" in done.stdout
    assert done.stderr.count("\n") == 1
    assert "in the checkout: pip install '.[torch]'" in done.stderr


def test_a_size_that_no_network_takes_is_refused() -> None:
    done = streamline("model", "list-backbones", "--size", "300")
    assert (done.returncode, done.stdout) == (2, "")
    assert "must be a multiple of 32 from 32 to 1024 px, not 300" in done.stderr
