"""Frames to scores and maps on a device, asynchronously and in micro-batches.

`open_scorer` and `open_mapper` serve a running line, slot by slot; `score_frames`,
`map_frames` and `extract_features` run the very same graphs over frames that are at hand.
"""

from streamline.infer.backend import (
    Network,
    map_network,
    open_extractor,
    open_mapper,
    open_scorer,
    precisions,
    score_network,
    settle,
    threshold_doubt,
)
from streamline.infer.offline import extract_features, map_frames, score_frames
from streamline.infer.protocol import (
    Compute,
    Extractor,
    Features,
    Mapper,
    Maps,
    Precision,
    Requests,
    Scorer,
    Scores,
)
from streamline.infer.together import Heads, distinct, grouped

__all__ = [
    "Compute",
    "Extractor",
    "Features",
    "Heads",
    "Mapper",
    "Maps",
    "Network",
    "Precision",
    "Requests",
    "Scorer",
    "Scores",
    "distinct",
    "extract_features",
    "grouped",
    "map_frames",
    "map_network",
    "open_extractor",
    "open_mapper",
    "open_scorer",
    "precisions",
    "score_frames",
    "score_network",
    "settle",
    "threshold_doubt",
]
