"""Frames to scores and maps on a device, asynchronously and in micro-batches.

`open_scorer` serves a running line, slot by slot; `score_frames` and `extract_features` run
the very same compiled graphs over frames that are at hand.
"""

from streamline.infer.backend import (
    Compute,
    Extractor,
    Features,
    Requests,
    Scorer,
    Scores,
    open_extractor,
    open_scorer,
)
from streamline.infer.offline import extract_features, score_frames

__all__ = [
    "Compute",
    "Extractor",
    "Features",
    "Requests",
    "Scorer",
    "Scores",
    "extract_features",
    "open_extractor",
    "open_scorer",
    "score_frames",
]
