"""Trained weights: read from files that can't run code, and fitted to a network by name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from streamline.backbone import Network
from streamline.errors import ModelError
from streamline.zoo.network import Part, build_network, cut_network, fold_batch_norm

__all__ = ["assemble", "layers_served", "read_weights"]

Tensors = Mapping[str, torch.Tensor]

_COUNTER: Final = "num_batches_tracked"
"""Of batch normalisation in training; without meaning afterwards, and often left out."""


def read_weights(path: Path, /) -> dict[str, torch.Tensor]:
    """Read a file or folder of tensors; no byte of it is ever run.

    Parameters
    ----------
    path : Path
        ``.safetensors``; ``.pth`` or ``.pt`` with tensors only; or a folder of ``NAME.npy``.

    Raises
    ------
    ModelError
        If it can't be read so.
    """
    if path.is_dir():
        return {file.name.removesuffix(".npy"): _array(file) for file in sorted(path.glob("*.npy"))}
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except (OSError, SafetensorError) as exc:
            msg = f"{path}: can't be read as safetensors ({exc})"
            raise ModelError(msg) from exc
    return _checkpoint(path)


def _array(file: Path) -> torch.Tensor:
    try:
        return torch.from_numpy(np.load(file, allow_pickle=False))
    except (OSError, ValueError, TypeError, EOFError) as exc:
        msg = f"{file}: can't be read as an array of numbers ({exc})"
        raise ModelError(msg) from exc


def _checkpoint(path: Path) -> dict[str, torch.Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as exc:  # whatever torch's readers raise, this file is no use
        msg = (
            f"{path}: not a file of tensors only, which is all that is read since anything else "
            "could run code; save its state_dict, or convert it to .safetensors"
        )
        raise ModelError(msg) from exc
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not all(torch.is_tensor(one) for one in found.values()):
        msg = f"{path}: holds no state_dict (names and tensors); save the network's state_dict"
        raise ModelError(msg)
    return found


def assemble(network: Network, layers: Sequence[str], path: Path, /) -> Part:
    """Build a network, cut it to the layers and fill it with weights, by their names.

    Weights whose batch normalisation is folded into the convolutions are recognised, and weights
    may end after the last of the layers.

    Raises
    ------
    ModelError
        If there is no such network or layer, or the weights are another network's.
    """
    net, given = _matched(network, path)
    part = cut_network(net, network, layers)
    problem = _mismatch(given, part, net)
    if problem is not None:
        msg = f"{path} doesn't fit {network.name} to {', '.join(layers)}: {problem}"
        served = ", ".join(_served(network, net, given))
        raise ModelError(msg + (f"; these weights serve its layers {served}" if served else ""))
    _fill(part, given)
    if any(tensor.is_meta for tensor in (*part.parameters(), *part.buffers())):
        msg = f"{network.name} computes tensors that are no weights, which can't be exported"
        raise ModelError(msg)
    return part.requires_grad_(requires_grad=False).eval()


def _matched(network: Network, path: Path) -> tuple[nn.Module, Tensors]:
    """Build the whole network, and give weights the names that its tensors have."""
    net = build_network(network)
    given = read_weights(path)
    if any(name.startswith("_conv_stem.") for name in given):
        given = _renamed(given, net, path)
    if _is_folded(given, net):
        fold_batch_norm(net)
    return net, given


def _renamed(given: Tensors, net: nn.Module, path: Path) -> dict[str, torch.Tensor]:
    """Give EfficientNet-Lite's published weights the names that timm has for them.

    Both list the same tensors in the same order under different names. That the order is right
    is checked: shapes, roles (weight, bias, running mean ...) and kinds of layer must agree
    pairwise, all the way to the classifier.
    """
    wanted = net.state_dict()
    if len(given) != len(wanted):
        msg = f"{path} has {len(given)} tensors, the network {len(wanted)}"
        raise ModelError(msg)
    for (theirs, tensor), (ours, place) in zip(given.items(), wanted.items(), strict=True):
        if tensor.shape != place.shape or _role(theirs) != _role(ours):
            msg = (
                f"{path} is another network's: {theirs} {_size(tensor)} doesn't fit "
                f"{ours} {_size(place)}"
            )
            raise ModelError(msg)
    return dict(zip(wanted, given.values(), strict=True))


def _role(name: str) -> tuple[str, str]:
    """Tell what a tensor is for: kind of its layer, and its part in it."""
    layer, part = name.lower().rsplit(".", 1)
    layer = layer.rsplit(".", 1)[-1]
    for kind in ("conv", "bn", "fc"):
        if kind in layer.replace("classifier", "fc"):
            depthwise = "dw" if ("depthwise" in layer or layer == "conv_dw") else ""
            return kind + depthwise, part
    return layer, part


def _is_folded(given: Tensors, net: nn.Module) -> bool:
    statistics = [name for name in net.state_dict() if name.endswith(".running_mean")]
    return bool(statistics) and not any(name in given for name in statistics)


def _mismatch(given: Tensors, part: Part, net: nn.Module) -> str | None:
    """Name the first difference between what is given and what is needed."""
    for name, place in part.trunk.state_dict().items():
        if name.endswith(_COUNTER):
            continue
        if name not in given:
            return f"{name} is missing"
        if given[name].shape != place.shape:
            return f"{name} is {_size(given[name])}, not {_size(place)}"
    whole = net.state_dict()
    foreign = next((name for name in given if name not in whole), None)
    return None if foreign is None else f"{foreign} is no tensor of it"


def _size(tensor: torch.Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"


def layers_served(network: Network, path: Path, /) -> tuple[str, ...]:
    """Tell which of a network's named layers weights would do for: often all, at times fewer.

    Raises
    ------
    ModelError
        If there is no such network, or the weights can't be read.
    """
    return _served(network, *_matched(network, path))


def _served(network: Network, net: nn.Module, given: Tensors) -> tuple[str, ...]:
    return tuple(
        layer
        for layer in network.layers
        if _mismatch(given, cut_network(net, network, [layer]), net) is None
    )


def _fill(part: Part, given: Tensors) -> None:
    values = {
        name: torch.zeros_like(place, device="cpu")
        if name.endswith(_COUNTER)
        else given[name].to(place.dtype)
        for name, place in part.trunk.state_dict().items()
    }
    part.trunk.load_state_dict(values, assign=True)
