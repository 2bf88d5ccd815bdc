"""Feature reconstruction error in NumPy: fit, reference scores and maps, calibration.

What the inference graphs compute in a device's arithmetic is defined here in float64. Nothing
in this package reads a file, an image or a clock, writes to an argument or draws a number.
"""

from streamline.fre.calibrate import (
    conformal_threshold,
    contiguous_blocks,
    crossfit_errors,
    require_support,
    smallest_alpha,
)
from streamline.fre.diversity import effective_count
from streamline.fre.reference import (
    fuse_errors,
    fuse_maps,
    mean_square_map,
    reconstruction_error,
    reconstruction_residual,
    resize_bilinear,
)
from streamline.fre.subspace import (
    Spectrum,
    Subspace,
    centred_gram,
    decompose,
    fit_subspace,
    rank_for,
)

__all__ = [
    "Spectrum",
    "Subspace",
    "centred_gram",
    "conformal_threshold",
    "contiguous_blocks",
    "crossfit_errors",
    "decompose",
    "effective_count",
    "fit_subspace",
    "fuse_errors",
    "fuse_maps",
    "mean_square_map",
    "rank_for",
    "reconstruction_error",
    "reconstruction_residual",
    "require_support",
    "resize_bilinear",
    "smallest_alpha",
]
