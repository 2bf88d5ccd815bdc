"""Layers are where the list says, and a network is cut to what is asked for."""

import pytest
import torch

from streamline.backbone import CATALOGUE, describe, load_zoo
from streamline.errors import ModelError

load_zoo()

from streamline.zoo.network import build_network, cut_network  # noqa: E402
from tests.support.networks import features_by_torch, random_network  # noqa: E402


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_listed_shapes_are_those_of_the_whole_network(name: str) -> None:
    network = CATALOGUE[name]
    listed = load_zoo().layer_table(network, 256)
    pixels = torch.zeros(1, 3, 256, 256, device="meta")
    actual = features_by_torch(build_network(network), pixels, list(network.layers.values()))
    assert list(listed) == list(network.layers)
    for layer, node in network.layers.items():
        shape = listed[layer]
        assert actual[node].shape == (1, shape.channels, shape.height, shape.width)
        assert shape.stride * shape.height == shape.stride * shape.width == 256


@pytest.mark.parametrize("name", CATALOGUE)
def test_strides_grow_with_depth_and_are_powers_of_two(name: str) -> None:
    strides = [layer.stride for layer in load_zoo().layer_table(CATALOGUE[name], 64).values()]
    assert strides == sorted(strides)
    assert set(strides) <= {1, 2, 4, 8, 16, 32}


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_default_layers_are_layers(name: str) -> None:
    network = CATALOGUE[name]
    assert network.score_layers
    assert set(network.score_layers) | set(network.map_layers) <= set(network.layers)


@pytest.mark.parametrize("name", CATALOGUE)
def test_sgfr_samples_by_a_coarser_layer_than_the_two_it_reconstructs(name: str) -> None:
    shapes = load_zoo().layer_table(CATALOGUE[name], 256)
    levels = CATALOGUE[name].levels
    assert levels is not None
    strides = [shapes[layer].stride for layer in (*levels.maps, levels.sampling)]
    assert strides in ([8, 16, 32], [4, 8, 16])
    # The last of its resolution, but for blocks that a network would have to be longer for.
    for layer in levels.maps:
        assert layer == [one for one in shapes if shapes[one].stride == shapes[layer].stride][-1]


def test_a_cut_network_holds_nothing_after_its_last_layer() -> None:
    network = describe("vgg16")
    part = cut_network(build_network(network), network, ["stage2"])
    assert list(part.trunk.state_dict()) == [
        f"features.{index}.{kind}" for index in (0, 2, 5, 7) for kind in ("weight", "bias")
    ]


def test_a_layer_is_what_it_is_before_what_follows_writes_over_it() -> None:
    # VGG's activations are computed in the place of what they are applied to.
    net = random_network("vgg11", seed=1)
    network = describe("torchvision.vgg11")
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    part = cut_network(build_network(network), network, ["features.3", "features.6"])
    part.trunk.load_state_dict(
        {name: net.state_dict()[name] for name in part.trunk.state_dict()}, assign=True
    )
    actual = features_by_torch(net, pixels, ["features.3", "features.6"])
    assert actual["features.3"].min() < 0
    for found, expected in zip(part(pixels), actual.values(), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("name", "layer", "sentence"),
    [
        pytest.param("resnet18", "layr4", r"no layer 'layr4', did you mean layer4", id="layer"),
        pytest.param("resnet18", "layer9.nothing", r"it has layer1, layer2", id="no-near-one"),
        pytest.param("timm.resnet9", "layer1", r"timm has no network 'resnet9'", id="timm"),
        pytest.param("torchvision.fasterrcnn_resnet50_fpn", "a", "has no network", id="detector"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(name: str, layer: str, sentence: str) -> None:
    network = describe(name)
    with pytest.raises(ModelError, match=sentence):
        cut_network(build_network(network), network, [layer])
