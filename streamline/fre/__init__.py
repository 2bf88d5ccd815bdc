"""Feature reconstruction error in NumPy: fit, reference scores and maps, held-out errors.

What the inference graphs compute in a device's arithmetic is defined here in float64. Nothing
in this package reads a file, an image or a clock, writes to an argument or draws a number.
"""

from streamline.fre.accumulate import SpanBuilder
from streamline.fre.algebra import HOST, Algebra, Gram, column_parts, require_finite, require_frames
from streamline.fre.autoencoder import Epoch, LinearAutoencoder, Training
from streamline.fre.crossfit import (
    Part,
    contiguous_blocks,
    crossfit_errors,
    held_out,
)
from streamline.fre.diversity import effective_count
from streamline.fre.progressive import Progressive
from streamline.fre.reference import (
    fuse_errors,
    fuse_maps,
    interpolation_matrix,
    mean_square_map,
    reconstruction_error,
    reconstruction_residual,
    resize_bilinear,
)
from streamline.fre.span import Points, Solver, Span, span_of
from streamline.fre.subspace import (
    Subspace,
    fit_subspace,
    rank_for,
    smaller_shares,
    subspace_of,
)

__all__ = [
    "HOST",
    "Algebra",
    "Epoch",
    "Gram",
    "LinearAutoencoder",
    "Part",
    "Points",
    "Progressive",
    "Solver",
    "Span",
    "SpanBuilder",
    "Subspace",
    "Training",
    "column_parts",
    "contiguous_blocks",
    "crossfit_errors",
    "effective_count",
    "fit_subspace",
    "fuse_errors",
    "fuse_maps",
    "held_out",
    "interpolation_matrix",
    "mean_square_map",
    "rank_for",
    "reconstruction_error",
    "reconstruction_residual",
    "require_finite",
    "require_frames",
    "resize_bilinear",
    "smaller_shares",
    "span_of",
    "subspace_of",
]
