"""Weights as a network is born with: good for nothing but to see how fast it is."""

from pathlib import Path

import safetensors.torch
import timm
import torch
import torchvision

from streamline.backbone import Network

__all__ = ["write_untrained"]


def write_untrained(network: Network, file: Path, /) -> None:
    """Write random weights for a network as safetensors, the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if network.library == "timm":
            net = timm.create_model(network.model, pretrained=False)
        else:
            net = torchvision.models.get_model(network.model, weights=None)
    tensors = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    safetensors.torch.save_file(tensors, file)
