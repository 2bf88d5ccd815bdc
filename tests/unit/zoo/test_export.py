"""An exported network computes what torch computes, from pixels as a camera gives them."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov
import pytest
import torch
from torch import fx, nn

from streamline.backbone import find, load_zoo
from streamline.backbone.catalogue import Normalisation
from streamline.errors import InputError, ModelError
from streamline.infer import Compute, extract_features
from streamline.infer.network import read_network

load_zoo()

from timm.layers.evo_norm import EvoNorm2dS0  # noqa: E402
from timm.layers.grn import GlobalResponseNorm  # noqa: E402
from timm.models.efficientvit_mit import LiteMLA  # noqa: E402
from timm.models.mobilevit import MobileVitBlock, MobileVitV2Block  # noqa: E402

from streamline.zoo.export import convert, save, take_pixels  # noqa: E402
from streamline.zoo.network import Part  # noqa: E402
from tests.support.networks import features_by_torch, normalised, random_network  # noqa: E402
from tests.support.parts import parts  # noqa: E402
from tests.support.stored import SIDE, store_network  # noqa: E402

Frames = npt.NDArray[np.uint8]
F32 = Compute(precision="f32")


@pytest.fixture(scope="module")
def frames() -> Frames:
    """Three frames of 96 px."""
    return np.stack(parts(3, seed=4))[:, 64:160, 64:160]


def saved(name: str, folder: Path) -> Path:
    path = folder / f"{name}.pth"
    torch.save(random_network(name, seed=3).state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("name", "layers", "precision", "tolerance"),
    [
        pytest.param("resnet18", ("layer1", "layer2.0.bn2"), "f32", 1e-4, id="resnet18"),
        pytest.param("mobilenet_v3_small", ("stage2", "stage5"), "f32", 1e-4, id="mobilenet"),
        pytest.param("mobilenet_v3_small", ("stage1",), "fp16", 1e-2, id="weights-of-16-bits"),
    ],
)
def test_features_are_those_of_torch(
    name: str, layers: tuple[str, ...], precision: str, tolerance: float, frames: Frames,
    tmp_path: Path,
) -> None:  # fmt: skip
    net = find(name, layers, precision=precision, size=96, weights=saved(name, tmp_path))
    stages = {"stage1": "features.0", "stage2": "features.1", "stage5": "features.11"}
    modules = [stages.get(layer, layer) for layer in layers]
    expected = features_by_torch(random_network(name, seed=3), normalised(frames), modules)
    assert (net.height, net.width, tuple(net.layers)) == (96, 96, layers)
    found = list(extract_features(net, layers, frames, compute=F32))
    for layer, module in zip(layers, modules, strict=True):
        truth = expected[module].flatten(1).numpy()
        ours = np.concatenate([batch[layer] for batch in found])
        shape = net.layers[layer]
        assert (shape.channels, shape.height, shape.width) == tuple(expected[module].shape[1:])
        assert np.linalg.norm(ours - truth) < tolerance * np.linalg.norm(truth)


def test_a_network_is_exported_once_and_read_without_torch_afterwards(
    own_cache: Path, tmp_path: Path
) -> None:
    import subprocess
    import sys

    weights = saved("mobilenet_v3_small", tmp_path)
    made = find("mobilenet_v3_small", ["stage1"], size=32, weights=weights)
    assert made.xml.is_relative_to(own_cache)
    code = (
        "import sys; from pathlib import Path; from streamline.backbone import find\n"
        f"net = find('mobilenet_v3_small', ['stage1'], size=32, weights=Path({str(weights)!r}))\n"
        "assert 'torch' not in sys.modules\n"
        "print(net.sha256)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == made.sha256


def test_another_size_layer_weight_or_precision_is_another_export(tmp_path: Path) -> None:
    one, other = (tmp_path / name for name in ("one.pth", "other.pth"))
    for seed, path in enumerate((one, other)):
        torch.save(random_network("mobilenet_v3_small", seed=seed).state_dict(), path)
    name = "mobilenet_v3_small"
    made = [
        find(name, ["stage1"], size=32, weights=one),
        find(name, ["stage1"], size=64, weights=one),
        find(name, ["stage1", "stage2"], size=32, weights=one),
        find(name, ["stage1"], size=32, weights=other),
        find(name, ["stage1"], size=32, weights=one, precision="f32"),
    ]
    assert len({net.xml.parent for net in made}) == len({net.sha256 for net in made}) == len(made)


@pytest.mark.parametrize("file", ["fp16.bin", "fp16.xml", "manifest.json"])
def test_a_damaged_export_is_made_again(file: str, tmp_path: Path) -> None:
    weights = saved("mobilenet_v3_small", tmp_path)
    made = find("mobilenet_v3_small", ["stage1"], size=32, weights=weights)
    path = made.xml.with_name(file)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    again = find("mobilenet_v3_small", ["stage1"], size=32, weights=weights)
    assert again == made
    assert path.read_bytes() == content


def test_the_manifest_says_what_it_was_made_of(tmp_path: Path) -> None:
    import hashlib

    weights = saved("mobilenet_v3_small", tmp_path)
    net = find("mobilenet_v3_small", ["stage1"], size=32, weights=weights)
    manifest = json.loads((net.xml.parent / "manifest.json").read_text())
    assert manifest["source"] == {"library": "torchvision", "model": "mobilenet_v3_small"}
    assert manifest["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert str(tmp_path) not in json.dumps(manifest) + net.xml.read_text()


def test_what_is_no_map_is_refused(tmp_path: Path) -> None:
    weights = saved("mobilenet_v3_small", tmp_path)
    with pytest.raises(ModelError, match=r"layer 'flatten' is no map of features"):
        find("mobilenet_v3_small", ["flatten"], size=32, weights=weights)


def test_weights_that_can_not_be_had_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    # A name that no resolver knows stands for a machine without the network.
    monkeypatch.setenv("https_proxy", "http://nowhere.invalid:1")
    sentence = (
        "the weights of resnet50 are not on this machine and can't be fetched from "
        r"download\.pytorch\.org \(.*\); give them with --weights FILE"
    )
    with pytest.raises(ModelError, match=sentence):
        find("resnet50", ["layer1"])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        pytest.param("none.pth", r"none\.pth: no such weights", id="missing"),
        pytest.param(".", r"no \.npy file in this folder", id="empty-folder"),
    ],
)
def test_weights_that_are_not_there_are_one_sentence(
    name: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        find("resnet18", ["layer1"], weights=tmp_path / name)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
def test_a_precision_nobody_makes_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="comes in int8, fp16, f32, not in 'int4'"):
        find(name, ["block1"], precision="int4")


def test_the_shipped_network_serves_other_sizes(frames: Frames) -> None:
    shipped = find("efficientnet_lite0", ["block2", "block5"], precision="fp16", size=96)
    assert not shipped.xml.is_relative_to(Path(tempfile.gettempdir()))
    fresh = find("efficientnet_lite0", ["block2", "block5"], precision="f32", size=96)
    assert shipped.sha256 != find("efficientnet_lite0", ["block2"], precision="fp16").sha256
    for layer in ("block2", "block5"):
        assert shipped.layers[layer] == fresh.layers[layer]
        ours, truth = (
            np.concatenate([b[layer] for b in extract_features(net, [layer], frames, compute=F32)])
            for net in (shipped, fresh)
        )
        assert ours.shape == truth.shape
        assert np.linalg.norm(ours - truth) < 0.02 * np.linalg.norm(truth)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(lambda: GlobalResponseNorm(16, channels_last=False), id="convnext-v2"),
        pytest.param(lambda: EvoNorm2dS0(16, groups=4), id="evonorm"),
        pytest.param(lambda: nn.ConvTranspose2d(16, 8, 2, 2), id="transposed"),
        pytest.param(lambda: nn.ConvTranspose2d(16, 8, 2, 2, groups=4), id="transposed-in-groups"),
        pytest.param(
            lambda: MobileVitBlock(16, 16, num_heads=2, transformer_dim=16, transformer_depth=1),
            id="mobilevit",
        ),
        pytest.param(
            lambda: MobileVitV2Block(16, 16, transformer_dim=16, transformer_depth=1),
            id="mobilevit-v2",
        ),
        pytest.param(lambda: LiteMLA(16, 16, dim=8), id="efficientvit"),
    ],
)
def test_blocks_of_networks_are_read_from_where_they_are_stored(
    block: Callable[[], nn.Module], tmp_path: Path
) -> None:
    torch.manual_seed(2)
    trunk = nn.Sequential(nn.Conv2d(3, 16, 8, 8), block()).eval()
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter.normal_(0, 0.3)
    # Nothing is normalised: what torch is given is what the graph is given.
    part = Part(fx.GraphModule({"trunk": trunk}, _calling("trunk")), ["trunk"])
    graph = take_pixels(convert(part, ["deep"], SIDE), Normalisation((0, 0, 0), (255, 255, 255)))
    shape = tuple(graph.outputs[0].get_partial_shape().get_min_shape())[1:]
    save(graph, tmp_path / "f32.xml", name="small", half=False)
    net = store_network(tmp_path, {"deep": shape})
    core = ov.Core()
    compiled = core.compile_model(
        read_network(core, net), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    batch = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    with torch.no_grad():
        truth = trunk(torch.from_numpy(batch).permute(0, 3, 1, 2) / 255)
    np.testing.assert_allclose(compiled(batch)["deep"], truth, rtol=1e-3, atol=1e-3)


def _calling(module: str) -> fx.Graph:
    """A graph that gives what one module makes of what goes in."""
    graph = fx.Graph()
    graph.output({module: graph.call_module(module, (graph.placeholder("pixels"),))})
    return graph
