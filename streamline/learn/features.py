"""The features of all frames, each layer's from the graph that the line will run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import tee

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone
from streamline.infer import Compute, Features, extract_features
from streamline.mask import Mask
from streamline.model import kept_cells

__all__ = ["Hidden", "hidden_features", "stream_features"]

Frame = npt.NDArray[np.uint8]
Hidden = Mapping[str, npt.NDArray[np.bool_]]
"""By layer, shape ``(c * h * w,)``."""


def stream_features(
    net: Backbone,
    passes: Sequence[Sequence[str]],
    frames: Iterable[Frame],
    compute: Compute,
    mask: Mask | None = None,
) -> Iterator[tuple[Features, ...]]:
    """Compute the features of each pass's layers, batch by batch.

    The passes go in step, and what is asked for twice is computed once. What the line computes
    apart is learnt from a pass of its own: asked for other layers an int8 graph is fused
    otherwise, rounds otherwise, and would move a score by up to half a percent. Features of cells
    that a mask leaves out are 0.
    """
    hidden = hidden_features(net, {name for layers in passes for name in layers}, mask)
    different = list(dict.fromkeys(tuple(layers) for layers in passes))
    places = [different.index(tuple(layers)) for layers in passes]
    streams = [
        extract_features(net, layers, copy, compute=compute)
        for layers, copy in zip(different, tee(frames, len(different)), strict=True)
    ]
    for together in zip(*streams, strict=True):
        seen = [_cut(features, hidden) for features in together]
        yield tuple(seen[place] for place in places)


def hidden_features(net: Backbone, layers: Iterable[str], mask: Mask | None) -> Hidden:
    """Say which features of each layer a mask leaves out; of none if there is none.

    Raises
    ------
    ModelError
        If it leaves nothing of a layer.
    """
    if mask is None:
        return {}
    over = mask.over((net.height, net.width))
    hidden = {}
    for name in layers:
        layer = net.layer(name)
        grid = layer.height, layer.width
        kept = kept_cells(over, name, grid)
        hidden[name] = np.broadcast_to(~kept, (layer.channels, *grid)).ravel()
    return hidden


def _cut(features: Features, hidden: Hidden) -> Features:
    if not hidden:
        return features
    return {name: np.where(hidden[name], np.float32(0), rows) for name, rows in features.items()}
