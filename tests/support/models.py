"""Models that have learnt nothing, and real ones that judge otherwise."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone, comes_with_package, get
from streamline.conformal import ConformalTest
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

__all__ = [
    "CREATED",
    "save_light_model",
    "save_tiny_model",
    "some_calibration",
    "threshold_at",
    "untrained",
    "with_threshold",
]

CREATED = "2031-01-02T03:04:05+00:00"


def save_tiny_model(path: Path) -> Model:
    """Write a model of one layer with four features; good for all but scoring."""
    model = _model(BackboneId("net", "int8", "ab" * 32), {"deep": _one_direction((4, 1, 1))})
    return save_model(model, path)


def save_light_model(path: Path) -> Model:
    """Write a model of the shipped network's first layers that has learnt next to nothing."""
    net = get("efficientnet_lite0", "int8")
    return save_model(_model(_id_of(net), {"block1": _one_direction(_shape(net, "block1"))}), path)


def untrained(net: Backbone, layers: Sequence[str], *, rank: int) -> Model:
    """Return a model of random directions, so many of each layer: all that speed depends on."""
    noise = np.random.default_rng(0)
    fitted = {}
    for name in layers:
        shape = _shape(net, name)
        columns = noise.standard_normal((math.prod(shape), rank), np.float32)
        fitted[name] = _layer(np.linalg.qr(columns).Q.T.astype(np.float16), shape)
    model = _model(_id_of(net), fitted)
    stored = None if comes_with_package(net) else net
    return replace(model, stored=stored, quantisation=net.quantisation)


def _shape(net: Backbone, name: str) -> tuple[int, int, int]:
    layer = net.layer(name)
    return layer.channels, layer.height, layer.width


def _id_of(net: Backbone) -> BackboneId:
    return BackboneId(net.name, net.precision, net.sha256)


def _one_direction(shape: tuple[int, int, int]) -> FittedLayer:
    return _layer(np.eye(1, math.prod(shape), dtype=np.float16), shape)


def _layer(directions: npt.NDArray[np.float16], shape: tuple[int, int, int]) -> FittedLayer:
    rank, features = directions.shape
    subspace = Subspace(
        mean=np.zeros(features, np.float32),
        directions=directions,
        singular_values=np.ones(rank + 1),
    )
    return FittedLayer(subspace=subspace, shape=shape)


def some_calibration() -> Calibration:
    """Of no frames in particular."""
    return Calibration(
        alpha=0.1,
        scores=np.full(20, 1.5),
        way="cross-fit",
        effective_frames=10.0,
        blocks=5,
        gap=1,
        source="nothing",
        created=CREATED,
    )


def _model(backbone: BackboneId, layers: Mapping[str, FittedLayer]) -> Model:
    return Model(
        backbone=backbone,
        preprocessing=PREPROCESSING,
        height=256,
        width=256,
        detector=FreDetector(
            score_layers=layers,
            map_layers=layers,
            retain=0.9,
            shares=(0.9,),
            heldout=np.ones((len(layers), 20), np.float32),
        ),
        distinct_frames=10.0,
        calibration=some_calibration(),
        source="nothing",
        created=CREATED,
    )


def threshold_at(score: float) -> ConformalTest:
    """Nine normal scores that are all the same: what is above it fails."""
    return ConformalTest(np.full(9, score), alpha=0.1)


def with_threshold(model: Path, path: Path, threshold: float) -> Path:
    """Write a copy of a model that judges by another threshold."""
    whole = load_model(model)
    calibration = replace(whole.calibration, scores=np.full(20, threshold), alpha=0.1)
    save_model(replace(whole, calibration=calibration, source=f"up to {threshold}"), path)
    return path
