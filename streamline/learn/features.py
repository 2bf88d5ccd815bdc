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
    net: Backbone, passes: Sequence[Sequence[str]], frames: Iterable[Frame], compute: Compute
) -> Iterator[tuple[Features, ...]]:
    """Compute the features of each pass's layers, batch by batch.

    The passes go in step, and what is asked for twice is computed once. What the line computes
    apart is learnt from a pass of its own: asked for other layers an int8 graph is fused
    otherwise, rounds otherwise, and would move a score by up to half a percent.
    """
    different = list(dict.fromkeys(tuple(layers) for layers in passes))
    places = [different.index(tuple(layers)) for layers in passes]
    streams = [
        extract_features(net, layers, copy, compute=compute)
        for layers, copy in zip(different, tee(frames, len(different)), strict=True)
    ]
    for together in zip(*streams, strict=True):
        yield tuple(together[place] for place in places)
