"""Linear autoencoders of one layer's features: FRE-AE and, with tied weights, FRE-AEt.

Trained to the end, they reconstruct what the principal directions do (P. Baldi, K. Hornik,
"Neural networks and principal component analysis", Neural Networks 2, 1989); before that, and
without tied weights always, they are no projector, so both halves are kept.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Epoch", "LinearAutoencoder", "Training"]

Weights = npt.NDArray[np.float32] | npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearAutoencoder:
    """Features ``u`` are reconstructed as ``mean + decoderᵀ encoder (u - mean)``."""

    mean: npt.NDArray[np.float32]
    """Shape ``(d,)``."""

    encoder: Weights
    """Shape ``(k, d)``."""

    decoder: Weights
    """Shape ``(k, d)``; the encoder itself if the weights are tied."""

    retained: float
    """Share of the variance of the normal frames that is reconstructed, in (0, 1]."""

    @property
    def rank(self) -> int:
        """Number of hidden units."""
        return int(self.encoder.shape[0])

    @property
    def tied(self) -> bool:
        """Whether the decoder is the encoder transposed."""
        return self.decoder is self.encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How autoencoders are trained: Adam on the squared error, steps shortened as it rises."""

    epochs: int = 1000
    """No more than this many."""

    batch: int = 256
    """Frames a step."""

    rate: float = 0.01
    """Size of the first steps."""

    tolerance: float = 0.01
    """Stop when the error is above that of as many principal directions by this share."""

    initial: Literal["random", "pca"] = "random"
    """pca: start from the principal directions, so that only `regulariser` is left to learn."""

    regulariser: float = 0.0
    """Weight of the squared weights in the loss, where the frames' mean square is 1."""

    seed: int = 0
    device: str | None = None
    """As torch names it: ``cpu``, ``cuda``, ``cuda:1`` …; None: what computes the features, if that
    is torch's, else the CPU."""

    precision: Literal["f32", "bf16"] = "f32"
    """Of the products; weights and errors are kept in f32."""

    snapshots: tuple[int, ...] = ()
    """Epochs after which the model is wanted as it is then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """How far a training has come."""

    epoch: int
    """Times that all frames were shown; 0 before the first."""

    excess: float
    """Error over all frames, above that of as many principal directions, as a share of it."""
