"""A network in 8 bits is made once, is close to the one it was made from, and says how it was."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from streamline.backbone import Backbone, Quantisation, find, load_zoo
from streamline.errors import ModelError
from streamline.infer import Compute, extract_features
from streamline.learn import FitSettings, fit_frames
from streamline.model import load_model, save_model

load_zoo()

from tests.support.networks import random_network  # noqa: E402
from tests.support.parts import parts  # noqa: E402

Frames = npt.NDArray[np.uint8]

SIZE = 64

NAME = "resnet18"


@pytest.fixture(autouse=True)
def nncf() -> None:
    if importlib.util.find_spec("nncf") is None:
        pytest.skip("not installed: nncf (the extra quantize)")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def shared_cache(own_cache: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One cache for this file: quantising takes seconds."""
    assert own_cache != home
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    return home / "cache" / "streamline" / "backbones"


@pytest.fixture(scope="module")
def weights(home: Path) -> Path:
    """Of a network that ends after layer 3, its classifier apart, as some are handed on."""
    tensors = random_network(NAME, seed=3).state_dict()
    kept = {name: one for name, one in tensors.items() if not name.startswith("layer4.")}
    torch.save(kept, home / "resnet18.pth")
    return home / "resnet18.pth"


@pytest.fixture(scope="module")
def frames() -> Frames:
    return np.stack(parts(4, seed=4))[:, 96:160, 96:160]


def eight_bits(layers: list[str], weights: Path) -> Backbone:
    return find(NAME, layers, precision="int8", size=SIZE, weights=weights)


def features_of(net: Backbone, layer: str, frames: Frames) -> npt.NDArray[np.float32]:
    compute = Compute(precision="f32")
    return np.concatenate(
        [one[layer] for one in extract_features(net, [layer], frames, compute=compute)]
    )


def test_features_in_eight_bits_are_close_to_those_in_single_precision(
    weights: Path, frames: Frames
) -> None:
    exact = find(NAME, ["layer3"], precision="f32", size=SIZE, weights=weights)
    truth = features_of(exact, "layer3", frames)
    rounded = features_of(eight_bits(["layer3"], weights), "layer3", frames)
    error = np.linalg.norm(rounded - truth) / np.linalg.norm(truth)
    assert 1e-4 < error < 0.1


def test_a_network_is_quantised_once_whatever_layers_are_used(
    weights: Path, shared_cache: Path
) -> None:
    told: list[str] = []
    eight_bits(["layer3"], weights)
    for layers in (["layer2"], ["layer1", "layer2/2"]):
        find(
            NAME, layers, precision="int8", size=SIZE, weights=weights,
            progress=lambda what, *_: told.append(what),
        )  # fmt: skip
    assert told == []
    kept = {
        tuple(json.loads(path.read_text())["layers"])
        for path in shared_cache.glob("resnet18-*/manifest.json")
        if path.with_name("int8.xml").is_file()
    }
    assert ("layer1", "layer2", "layer3") in kept
    assert {("layer2",), ("layer1", "layer2"), ("layer3",)} <= kept
    sizes = [
        eight_bits([layer], weights).xml.with_suffix(".bin").stat().st_size
        for layer in ("layer1", "layer3")
    ]
    assert sizes[0] < sizes[1] / 4


def test_quantising_tells_how_far_it_is(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told: list[tuple[str, int, int | None]] = []
    made = find(
        NAME, ["layer1.0.bn2"], precision="int8", size=SIZE, weights=weights,
        progress=lambda *one: told.append(one),
    )  # fmt: skip
    assert made.quantisation == Quantisation()
    assert (told[0], told[-1]) == (
        ("quantising resnet18", 1, 128),
        ("quantising resnet18", 128, 128),
    )


def test_weights_that_end_too_early_are_told_as_for_any_precision(weights: Path) -> None:
    with pytest.raises(ModelError, match="these weights serve its layers layer1, layer2, layer3"):
        eight_bits(["layer4"], weights)


def test_the_model_s_record_holds_precision_hash_and_how_it_was_quantised(
    weights: Path, frames: Frames, tmp_path: Path
) -> None:
    settings = FitSettings(
        backbone=NAME, precision="int8", size=SIZE, weights=weights, score_layers=("layer3",)
    )
    fitted = fit_frames([*frames, *frames, *frames], settings, source="cut-outs").model
    save_model(fitted, tmp_path / "model")
    said = json.loads((tmp_path / "model" / "manifest.json").read_text())["backbone"]
    assert (said["precision"], said["sha256"]) == ("int8", eight_bits(["layer3"], weights).sha256)
    assert said["quantisation"]["count"] == 128
    assert load_model(tmp_path / "model").quantisation == Quantisation()


def test_without_nncf_it_is_one_sentence_that_says_what_to_install(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "nncf", None)
    monkeypatch.delitem(sys.modules, "streamline.zoo.quantise", raising=False)
    sentence = r"nncf is not installed; in the checkout: pip install '\.\[quantize\]', or choose"
    with pytest.raises(ModelError, match=sentence):
        eight_bits(["layer2"], weights)


def test_nncf_reports_its_use_to_nobody_and_prints_nothing(weights: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from streamline.backbone import find\n"
        f"weights = Path({str(weights)!r})\n"
        "find('resnet18', ['layer1.0.bn2'], precision='int8', size=64, weights=weights)\n"
        "assert 'nncf' in sys.modules\n"
        "assert not hasattr(sys.modules['openvino_telemetry'], '__file__')\n"
    )
    here = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    here.pop("CI", None)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=here
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
