"""Pretrained networks: the shipped one, and those of torchvision and timm once exported.

`find` returns a network that can be run, `get` a shipped one; both are checked against their
hashes. Nothing here loads torch unless a network has to be exported.
"""

from streamline.backbone.catalogue import CATALOGUE, Levels, Network, describe
from streamline.backbone.exports import ExportRequest, load_zoo
from streamline.backbone.folder import (
    SIZE_STEP,
    SIZES,
    Backbone,
    Layer,
    Quantisation,
    at_size,
    copy_folder,
    read_files,
    read_folder,
    require_size,
)
from streamline.backbone.lookup import default_layers, default_levels, find
from streamline.backbone.shipped import comes_with_package, get, is_shipped
from streamline.backbone.taps import Tap, parse_tap
from streamline.backbone.weights import packaged_weights

__all__ = [
    "CATALOGUE",
    "SIZES",
    "SIZE_STEP",
    "Backbone",
    "ExportRequest",
    "Layer",
    "Levels",
    "Network",
    "Quantisation",
    "Tap",
    "at_size",
    "comes_with_package",
    "copy_folder",
    "default_layers",
    "default_levels",
    "describe",
    "find",
    "get",
    "is_shipped",
    "load_zoo",
    "packaged_weights",
    "parse_tap",
    "read_files",
    "read_folder",
    "require_size",
]
