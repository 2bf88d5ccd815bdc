"""The features of all frames, each layer's from the graph that the line will run."""

from collections.abc import Iterable, Sequence
from itertools import tee
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone
from streamline.infer import Compute, Features, extract_features

__all__ = ["Gathered", "gather_features"]

Frame = npt.NDArray[np.uint8]
Matrices = dict[str, npt.NDArray[np.float32]]


class Gathered(NamedTuple):
    """One row per frame in each layer's matrix, shape ``(n, d)``."""

    score: Matrices
    map: Matrices


def gather_features(
    net: Backbone,
    score_layers: Sequence[str],
    map_layers: Sequence[str],
    frames: Iterable[Frame],
    compute: Compute,
) -> Gathered:
    """Compute the features that the score and the map are made of.

    They come from two passes, in step: asked for other layers an int8 graph is fused
    otherwise, rounds otherwise, and would move a score by up to half a percent.
    """
    for_score, for_map = tee(frames)
    score: list[Features] = []
    maps: list[Features] = []
    for scored, mapped in zip(
        extract_features(net, score_layers, for_score, compute=compute),
        extract_features(net, map_layers, for_map, compute=compute),
        strict=True,
    ):
        score.append(scored)
        maps.append(mapped)
    return Gathered(_joined(score, score_layers), _joined(maps, map_layers))


def _joined(batches: list[Features], layers: Sequence[str]) -> Matrices:
    """Concatenate layer by layer, so that one layer at most is held twice."""
    parts = {layer: [batch[layer] for batch in batches] for layer in layers}
    batches.clear()
    return {layer: _stacked(parts.pop(layer)) for layer in layers}


def _stacked(parts: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
