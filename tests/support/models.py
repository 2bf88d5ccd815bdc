"""Model directories: small ones that can't score, and real ones that judge otherwise."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from streamline.backbone import get
from streamline.fre import Subspace
from streamline.model import (
    BackboneId,
    Calibration,
    FittedLayer,
    FreDetector,
    Model,
    load_model,
    save_model,
)
from streamline.preprocess import PREPROCESSING

__all__ = ["save_light_model", "save_tiny_model", "with_threshold"]


def save_tiny_model(path: Path) -> Model:
    """Write a model of one layer with four features; good for all but scoring."""
    return _save(path, BackboneId("net", "int8", "ab" * 32), "deep", (4, 1, 1))


def save_light_model(path: Path) -> Model:
    """Write a model of the shipped network's first layers that has learnt next to nothing."""
    net = get("efficientnet_lite0", "int8")
    layer = net.layers["block1"]
    shape = (layer.channels, layer.height, layer.width)
    return _save(path, BackboneId(net.name, net.precision, net.sha256), "block1", shape)


def _save(path: Path, backbone: BackboneId, layer_name: str, shape: tuple[int, int, int]) -> Model:
    """Write a model that knows one direction of one layer."""
    features = math.prod(shape)
    layer = FittedLayer(
        subspace=Subspace(
            mean=np.zeros(features, np.float32),
            directions=np.eye(1, features, dtype=np.float16),
            singular_values=np.ones(2),
        ),
        shape=shape,
    )
    calibration = Calibration(
        threshold=1.5, alpha=0.1, scores=np.ones(20), effective_frames=10.0, blocks=5, gap=1
    )
    model = Model(
        backbone=backbone,
        preprocessing=PREPROCESSING,
        height=256,
        width=256,
        detector=FreDetector(
            score_layers={layer_name: layer},
            map_layers={layer_name: layer},
            retain=0.9,
            shares=(0.9,),
            heldout=np.ones((1, 20), np.float32),
        ),
        calibration=calibration,
        source="nothing",
        created="2031-01-02T03:04:05+00:00",
    )
    return save_model(model, path)


def with_threshold(model: Path, path: Path, threshold: float) -> Path:
    """Write a copy of a model that judges by another threshold."""
    whole = load_model(model)
    calibration = replace(whole.calibration, threshold=threshold)
    save_model(replace(whole, calibration=calibration, digest=""), path)
    return path
