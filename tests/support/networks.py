"""Networks of torchvision with random weights, and their features by torch alone."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from streamline.backbone import load_zoo

__all__ = ["features_by_torch", "normalised", "random_network"]

load_zoo()  # makes torchvision importable

import torchvision  # noqa: E402

Frames = npt.NDArray[np.uint8]


def random_network(name: str, *, seed: int) -> nn.Module:
    """Build a network of torchvision whose normalisation is not the identity either."""
    torch.manual_seed(seed)
    net: nn.Module = torchvision.models.get_model(name, weights=None)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                assert tensor is not None
                nn.init.normal_(tensor, 0, 0.2)
            assert module.running_var is not None
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return net.eval()


def normalised(frames: Frames) -> torch.Tensor:
    """Normalise as torchvision's networks want it: ``(n, 3, h, w)`` of frames ``(n, h, w, 3)``."""
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
    return (pixels - mean) / deviation


def features_by_torch(
    net: nn.Module, pixels: torch.Tensor, modules: Sequence[str]
) -> Mapping[str, torch.Tensor]:
    """Watch what modules return while the whole network runs."""
    found: dict[str, torch.Tensor] = {}

    def watch(name: str) -> None:
        def keep(_module: nn.Module, _given: object, features: torch.Tensor) -> None:
            found[name] = features.clone()

        net.get_submodule(name).register_forward_hook(keep)

    for name in modules:
        watch(name)
    with torch.no_grad():
        net(pixels)
    return found
