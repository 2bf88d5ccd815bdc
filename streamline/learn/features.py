"""The features of all frames, each layer's from the graph that the line will run."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import tee

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone
from streamline.infer import Compute, Features, extract_features

__all__ = ["stream_features"]

Frame = npt.NDArray[np.uint8]


def stream_features(
    net: Backbone,
    score_layers: Sequence[str],
    map_layers: Sequence[str],
    frames: Iterable[Frame],
    compute: Compute,
) -> Iterator[tuple[Features, Features]]:
    """Compute the features that the score and the map are made of, batch by batch.

    They come from two passes, in step: asked for other layers an int8 graph is fused
    otherwise, rounds otherwise, and would move a score by up to half a percent.
    """
    for_score, for_map = tee(frames)
    return zip(
        extract_features(net, score_layers, for_score, compute=compute),
        extract_features(net, map_layers, for_map, compute=compute),
        strict=True,
    )
