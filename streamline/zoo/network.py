"""Networks as graphs: built without memory, cut to the layers that are asked for."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import timm
import torch
import torchvision
from timm.layers.conv2d_same import Conv2dSame
from timm.models import create_feature_extractor, get_graph_node_names
from torch import nn
from torch.fx import GraphModule, Node

from streamline.backbone import Layer, Network
from streamline.backbone.catalogue import Normalisation, did_you_mean
from streamline.errors import ModelError

__all__ = [
    "Part",
    "build_network",
    "cut_network",
    "fold_batch_norm",
    "layer_table",
    "normalisation_of",
    "pin_padding",
]


class Part(nn.Module):
    """A network up to its last wanted layer: normalised ``(n, 3, h, w)`` in, the layers out."""

    def __init__(self, graph: GraphModule, nodes: Sequence[str]) -> None:
        super().__init__()
        self.trunk = graph
        self._nodes = tuple(nodes)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Give the features of the layers, in their order."""
        found = self.trunk(pixels)
        return tuple(found[node] for node in self._nodes)


def build_network(network: Network, /) -> nn.Module:
    """Build a whole network without weights: its tensors have shapes and take no memory.

    Raises
    ------
    ModelError
        If the library has no such network.
    """
    names = _names_in(network.library)
    arch = network.model.partition(".")[0]
    if arch not in names:
        meant = did_you_mean(arch, dict.fromkeys(names))
        msg = f"{network.library} has no network {network.model!r}{meant}"
        raise ModelError(msg)
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if network.library == "timm":
            net = timm.create_model(network.model, pretrained=False)
        else:
            net = torchvision.models.get_model(network.model, weights=None)
    _forbid_in_place(net.modules())
    return net.eval()


def _names_in(library: str) -> list[str]:
    names = (
        timm.list_models()
        if library == "timm"
        else torchvision.models.list_models(module=torchvision.models)
    )
    return list(names)


def _forbid_in_place(modules: Iterable[nn.Module]) -> None:
    """Keep what follows a layer from writing over its features."""
    for module in modules:
        if getattr(module, "inplace", False):
            module.__dict__["inplace"] = False


def normalisation_of(network: Network, net: nn.Module, /) -> Normalisation:
    """Tell how pixels from 0 to 255 are normalised for a network."""
    if network.normalisation is not None:
        return network.normalisation
    said = cast("Mapping[str, tuple[float, float, float]]", net.pretrained_cfg)
    return Normalisation(_grey_levels(said["mean"]), _grey_levels(said["std"]))


def _grey_levels(values: tuple[float, float, float]) -> tuple[float, float, float]:
    red, green, blue = values
    return 255 * red, 255 * green, 255 * blue


def cut_network(net: nn.Module, network: Network, layers: Sequence[str], /) -> Part:
    """Keep what the layers need and nothing else.

    Parameters
    ----------
    layers : sequence of str
        Short names of `network`, or nodes of the graph as torchvision's feature extraction
        names them: a module stands for what it returns.

    Raises
    ------
    ModelError
        If there is no such layer, or the network can't be traced.
    """
    nodes = [network.layers.get(layer, layer) for layer in layers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            names = get_graph_node_names(net)[1]
            _require_nodes(network, names, nodes)
            graph = create_feature_extractor(net, {node: node for node in nodes})
        except torch.fx.proxy.TraceError as exc:
            msg = f"{network.name} can't be cut to layers: its graph depends on its input ({exc})"
            raise ModelError(msg) from exc
    _forbid_in_place_calls(graph)
    return Part(graph, nodes)


def _require_nodes(network: Network, names: Sequence[str], nodes: Sequence[str]) -> None:
    # A module's name stands for its last node, so every prefix of a node is a layer.
    known: dict[str, None] = dict.fromkeys(network.layers)
    for name in names:
        parts = name.split(".")
        known.update({".".join(parts[:length]): None for length in range(1, len(parts) + 1)})
    for node in nodes:
        if node not in known:
            listed = network.layers or dict.fromkeys(name.partition(".")[0] for name in names)
            msg = (
                f"{network.name} has no layer {node!r}{did_you_mean(node, known)}; it has "
                f"{', '.join(listed)}, and any node of its graph"
            )
            raise ModelError(msg)


def _forbid_in_place_calls(graph: GraphModule) -> None:
    changed = [node for node in graph.graph.nodes if node.kwargs.get("inplace")]
    for node in changed:
        node.kwargs = {**node.kwargs, "inplace": False}
    if changed:
        graph.recompile()


def fold_batch_norm(net: nn.Module, /) -> None:
    """Make a network that has its batch normalisation in its convolutions, in place.

    Convolutions get a bias, and the normalisation after them becomes nothing.
    """
    last = get_graph_node_names(net)[1][-1]
    graph = create_feature_extractor(net, [last])
    for node in graph.graph.nodes:
        before = node.args[0] if node.args else None
        if not (_is_module(node) and isinstance(before, Node) and _is_module(before)):
            continue
        norm, convolution = (
            net.get_submodule(str(node.target)),
            net.get_submodule(str(before.target)),
        )
        if type(norm) is nn.BatchNorm2d and isinstance(convolution, nn.Conv2d):
            if convolution.bias is None:
                convolution.bias = nn.Parameter(
                    torch.empty(convolution.out_channels, device="meta")
                )
            net.set_submodule(str(node.target), nn.Identity())


def _is_module(node: Node) -> bool:
    return node.op == "call_module"


def pin_padding(module: nn.Module, /) -> None:
    """Write TensorFlow's SAME padding down as numbers, in place.

    timm computes it from the input at run time, which would leave shape arithmetic in the graph
    and keep OpenVINO from folding the padding into the convolution. The numbers are the same for
    every input whose size is a multiple of the network's strides.
    """
    for name, child in module.named_children():
        if isinstance(child, Conv2dSame):
            setattr(module, name, _with_padding(child))
        else:
            pin_padding(child)


def _with_padding(convolution: nn.Conv2d) -> nn.Module:
    sides = []
    for axis in (1, 0):
        reach = (convolution.kernel_size[axis] - 1) * convolution.dilation[axis] + 1
        missing = max(0, reach - convolution.stride[axis])
        sides += [missing // 2, missing - missing // 2]
    plain = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        convolution.kernel_size,  # type: ignore[arg-type]
        convolution.stride,  # type: ignore[arg-type]
        dilation=convolution.dilation,  # type: ignore[arg-type]
        groups=convolution.groups,
        bias=convolution.bias is not None,
    )
    plain.load_state_dict(convolution.state_dict())
    return nn.Sequential(nn.ZeroPad2d(tuple(sides)), plain)  # type: ignore[arg-type]


def layer_table(network: Network, size: int, /) -> Mapping[str, Layer]:
    """Tell shape and stride of a network's named layers for frames of `size` px; no weights needed.

    Raises
    ------
    ModelError
        If the library has no such network.
    """
    part = cut_network(build_network(network), network, list(network.layers))
    found = part(torch.zeros(1, 3, size, size, device="meta"))
    return {
        name: Layer(
            channels=features.shape[1],
            height=features.shape[2],
            width=features.shape[3],
            stride=size // features.shape[2],
        )
        for name, features in zip(network.layers, found, strict=True)
    }
