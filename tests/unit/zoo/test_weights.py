"""Weights are read from files that can't run code, and refused where they are another network's."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from streamline.backbone import CATALOGUE, describe, load_zoo, packaged_weights
from streamline.errors import ModelError

load_zoo()

import timm  # noqa: E402

from streamline.zoo.network import pin_padding  # noqa: E402
from streamline.zoo.weights import assemble, read_weights  # noqa: E402
from tests.support.networks import features_by_torch, random_network  # noqa: E402

Tensors = Mapping[str, torch.Tensor]
RESNET18 = describe("resnet18")


def as_safetensors(tensors: Tensors, folder: Path) -> Path:
    path = folder / "weights.safetensors"
    safetensors.torch.save_file(dict(tensors), path)
    return path


def as_checkpoint(tensors: Tensors, folder: Path) -> Path:
    path = folder / "weights.pth"
    torch.save(dict(tensors), path)
    return path


def as_training_checkpoint(tensors: Tensors, folder: Path) -> Path:
    path = folder / "training.pth"
    torch.save({"state_dict": dict(tensors), "epoch": 3}, path)
    return path


def as_arrays(tensors: Tensors, folder: Path) -> Path:
    path = folder / "arrays"
    path.mkdir()
    for name, tensor in tensors.items():
        np.save(path / f"{name}.npy", tensor.numpy())
    return path


def pixels(size: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(7))


@pytest.fixture(scope="module")
def resnet18() -> nn.Module:
    return random_network("resnet18", seed=1)


@pytest.mark.parametrize(
    "write", [as_safetensors, as_checkpoint, as_training_checkpoint, as_arrays]
)
def test_every_kind_of_file_fills_the_network(
    write: Callable[[Tensors, Path], Path], resnet18: nn.Module, tmp_path: Path
) -> None:
    part = assemble(RESNET18, ["layer1", "layer3"], write(resnet18.state_dict(), tmp_path))
    expected = features_by_torch(resnet18, pixels(), ["layer1", "layer3"])
    for found, truth in zip(part(pixels()), expected.values(), strict=True):
        torch.testing.assert_close(found, truth)


def folded(net: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of a ResNet-18 whose normalisation torch has folded into the convolutions."""
    tensors: dict[str, torch.Tensor] = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            after = re.sub(r"conv(\d)$", r"bn\1", name)
            after = after.replace("downsample.0", "downsample.1")
            norm = net.get_submodule(after)
            assert isinstance(norm, nn.BatchNorm2d)
            one = fuse_conv_bn_eval(module, norm)
            assert one.bias is not None
            tensors |= {f"{name}.weight": one.weight.detach(), f"{name}.bias": one.bias.detach()}
    return tensors


def test_folded_batch_normalisation_gives_the_same_features(
    resnet18: nn.Module, tmp_path: Path
) -> None:
    path = as_arrays(folded(resnet18), tmp_path)
    part = assemble(RESNET18, ["layer1", "layer4"], path)
    expected = features_by_torch(resnet18, pixels(), ["layer1", "layer4"])
    for found, truth in zip(part(pixels()), expected.values(), strict=True):
        torch.testing.assert_close(found, truth, rtol=1e-4, atol=1e-4)


def test_given_folded_arrays_agree_with_a_network_built_by_hand(shared_dir: Path) -> None:
    folder = shared_dir / "weights" / "resnet18_imagenet1k_v1"
    given = {file.stem: torch.from_numpy(np.load(file)) for file in folder.glob("layer?.*.npy")}
    given |= {f"conv1.{kind}": torch.from_numpy(np.load(folder / f"conv1.{kind}.npy"))
              for kind in ("weight", "bias")}  # fmt: skip

    def convolved(x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        weight = given[f"{name}.weight"]
        return nn.functional.conv2d(
            x, weight, given[f"{name}.bias"], stride=stride, padding=weight.shape[-1] // 2
        )

    def block(x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        inner = convolved(x, f"{name}.conv1", stride).relu()
        rest = convolved(x, f"{name}.downsample.0", stride) if stride == 2 else x
        return (convolved(inner, f"{name}.conv2", 1) + rest).relu()

    features = nn.functional.max_pool2d(convolved(pixels(), "conv1", 2).relu(), 3, 2, 1)
    expected = []
    for number in (1, 2, 3):
        features = block(features, f"layer{number}.0", 1 if number == 1 else 2)
        features = block(features, f"layer{number}.1", 1)
        expected.append(features)
    part = assemble(RESNET18, ["layer1", "layer2", "layer3"], folder)
    for found, truth in zip(part(pixels()), expected, strict=True):
        torch.testing.assert_close(found, truth, rtol=1e-4, atol=1e-4)


def test_weights_that_end_early_serve_the_layers_they_reach(
    resnet18: nn.Module, tmp_path: Path
) -> None:
    tensors = {
        name: tensor
        for name, tensor in resnet18.state_dict().items()
        if not name.startswith(("layer4", "fc"))
    }
    path = as_safetensors(tensors, tmp_path)
    assert len(assemble(RESNET18, ["layer3"], path)(pixels())) == 1
    sentence = (
        r"weights\.safetensors doesn't fit resnet18 to layer4: layer4\.0\.conv1\.weight is "
        r"missing; these weights serve its layers layer1, layer2, layer3$"
    )
    with pytest.raises(ModelError, match=sentence):
        assemble(RESNET18, ["layer4"], path)


@pytest.mark.parametrize(
    ("name", "layer", "sentence"),
    [
        pytest.param(
            "resnet50", "layer1", r"layer1\.0\.conv1\.weight is 64 x 64 x 3 x 3, not 64 x 64 x 1",
            id="shape",
        ),
        pytest.param("vgg16", "stage1", r"features\.0\.weight is missing", id="missing"),
        pytest.param(
            "torchvision.resnet34", "layer1", r"layer1\.2\.conv1\.weight is missing", id="deeper"
        ),
    ],
)  # fmt: skip
def test_weights_of_another_network_are_refused_with_the_first_that_differs(
    name: str, layer: str, sentence: str, resnet18: nn.Module, tmp_path: Path
) -> None:
    path = as_safetensors(resnet18.state_dict(), tmp_path)
    with pytest.raises(ModelError, match=rf"doesn't fit {re.escape(name)} to {layer}: {sentence}"):
        assemble(describe(name), [layer], path)


def test_a_tensor_too_many_is_another_network(resnet18: nn.Module, tmp_path: Path) -> None:
    extra = {**resnet18.state_dict(), "layer1.2.conv1.weight": torch.zeros(64, 64, 3, 3)}
    with pytest.raises(ModelError, match=r"layer1\.2\.conv1\.weight is no tensor of it"):
        assemble(RESNET18, ["layer1"], as_safetensors(extra, tmp_path))


class _Harmful:
    """Would make a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    torch.save({"weight": _Harmful(tmp_path / "harm")}, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match=r"weights\.pth: not a file of tensors only"):
        read_weights(tmp_path / "weights.pth")
    assert not (tmp_path / "harm").exists()


def test_an_array_that_would_run_code_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.weight.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ModelError, match=r"a\.weight\.npy: can't be read as an array of numbers"):
        read_weights(tmp_path)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_damaged_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 no such thing")
    with pytest.raises(ModelError, match=name):
        read_weights(tmp_path / name)


def test_a_checkpoint_without_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="holds no state_dict"):
        read_weights(tmp_path / "weights.pth")


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_published_weights_fall_into_place_by_their_names_too(name: str) -> None:
    path = packaged_weights(CATALOGUE[name])
    if path is None:
        pytest.skip(f"not installed: {CATALOGUE[name].weights_package}")
    net = timm.create_model(f"tf_{name}", pretrained=False).eval()
    net.load_state_dict(named_by_role(torch.load(path, weights_only=True), net))
    part = assemble(CATALOGUE[name], ["block1", "block6"], path)
    pin_padding(part)
    expected = features_by_torch(net, pixels(), ["blocks.1", "blocks.6"])
    for found, truth in zip(part(pixels()), expected.values(), strict=True):
        torch.testing.assert_close(found, truth, rtol=1e-4, atol=1e-4)


def named_by_role(given: Tensors, net: nn.Module) -> dict[str, torch.Tensor]:
    """Rename by what the names say: number of the block, and part of it."""
    stages = net.get_submodule("blocks")
    assert isinstance(stages, nn.Sequential)
    places = [
        f"blocks.{i}.{j}"
        for i, stage in enumerate(stages)
        for j in range(len(list(stage.children())))
    ]
    inner = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw",
             "_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3"}  # fmt: skip
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2",
             "_fc": "classifier"}  # fmt: skip
    expanded = {name.split(".")[1] for name in given if "_expand_conv" in name}
    named = {}
    for name, tensor in given.items():
        if block := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
            names = inner if block[1] in expanded else first
            named[f"{places[int(block[1])]}.{names[block[2]]}.{block[3]}"] = tensor
        else:
            layer, part = name.split(".")
            named[f"{outer[layer]}.{part}"] = tensor
    return named
