"""Subspace-guided feature reconstruction in NumPy: memory bank, matching pursuit, score and map.

A frame's features are approximated by few of the normal frames' in a memory bank; what they
can't make up is the anomaly. `Judge` is the method whole; `orthogonal_matching_pursuit` its
core; `represent` holds the choices of frames that it is compared with. Nothing in this package
reads a file, an image or a clock, or writes to an argument; chance comes as a generator.

K. Hotta, C. Zhang, Y. Hagihara, T. Akashi, "Subspace-Guided Feature Reconstruction for
Unsupervised Anomaly Localization", 2023.
"""

from streamline.sgfr.bank import BankPrecision, StoredBank, most_frames, store_bank
from streamline.sgfr.judge import Judge, Recipe, ScoreRule
from streamline.sgfr.level import Level
from streamline.sgfr.maps import SMOOTHING_PX, finest, location_norms, smoothed_resize_matrix
from streamline.sgfr.pursuit import (
    MOST_STEPS,
    Pursuit,
    gram_of,
    orthogonal_matching_pursuit,
)
from streamline.sgfr.reference import reference_map, reference_pursuit
from streamline.sgfr.represent import (
    coreset_columns,
    nearest_columns,
    nearest_errors,
    random_columns,
    subspace_errors,
)

__all__ = [
    "MOST_STEPS",
    "SMOOTHING_PX",
    "BankPrecision",
    "Judge",
    "Level",
    "Pursuit",
    "Recipe",
    "ScoreRule",
    "StoredBank",
    "coreset_columns",
    "finest",
    "gram_of",
    "location_norms",
    "most_frames",
    "nearest_columns",
    "nearest_errors",
    "orthogonal_matching_pursuit",
    "random_columns",
    "reference_map",
    "reference_pursuit",
    "smoothed_resize_matrix",
    "store_bank",
    "subspace_errors",
]
