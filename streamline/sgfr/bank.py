"""The memory bank: the features of all normal frames, stored compactly and opened for use."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["BankPrecision", "StoredBank", "most_frames", "store_bank"]

Floats = npt.NDArray[np.floating]
Codes = npt.NDArray[np.float16] | npt.NDArray[np.int8]

BankPrecision = Literal["float16", "int8"]

_LARGEST: dict[BankPrecision, float] = {"float16": 1.0, "int8": 127.0}
"""What the largest value of a frame is stored as."""


_GRAM_BYTES = 1 << 30
"""Of the inner products of all pairs of frames, of all layers together: they are held in float64
by whoever judges."""

_FEW_BYTES = 1 << 25
"""Of them that any bank may take; beyond, no more than 16 for each feature in it."""


def most_frames(features: Collection[int], /) -> int:
    """Return how many frames a bank may hold.

    Parameters
    ----------
    features : collection of int
        How many there are in each layer.

    Examples
    --------
    >>> most_frames([40_960, 28_672, 12_288]), most_frames([64])
    (6688, 2048)
    """
    layers = len(features)
    most, few = (math.isqrt(limit // (8 * layers)) for limit in (_GRAM_BYTES, _FEW_BYTES))
    return min(most, max(few, 2 * sum(features) // layers))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredBank:
    """One layer's features of all normal frames; a frame is a column of the method's matrix."""

    codes: Codes
    """Shape ``(n, d)``: one row per frame, in order of time."""

    scales: npt.NDArray[np.float32]
    """Shape ``(n,)``: what a frame's codes are multiples of."""

    @property
    def frames(self) -> int:
        """Number of normal frames held."""
        return int(self.codes.shape[0])

    @property
    def precision(self) -> BankPrecision:
        """What a feature is stored in."""
        return "int8" if self.codes.dtype == np.int8 else "float16"

    @property
    def nbytes(self) -> int:
        """Size in memory and on disk, B."""
        return self.codes.nbytes + self.scales.nbytes

    def opened(self) -> npt.NDArray[np.float32]:
        """Return the features, shape ``(n, d)``, as fresh float32."""
        return self.codes * self.scales[:, None]


def store_bank(features: Floats, /, *, precision: BankPrecision) -> StoredBank:
    """Round features to 16 or 8 bits, with a scale for each frame.

    Parameters
    ----------
    features : array of shape (n, d)
        One row per frame; not modified.
    precision : {"float16", "int8"}
        float16 keeps 11 bits of every value; int8 steps of 1/127 of the frame's largest.

    Raises
    ------
    ValueError
        If a value is no finite number.

    Examples
    --------
    >>> stored = store_bank(np.array([[0.5, -127.0, 3.0]]), precision="int8")
    >>> stored.codes.tolist(), stored.opened().tolist()
    ([[0, -127, 3]], [[0.0, -127.0, 3.0]])
    """
    largest = np.abs(features).max(axis=1)
    if not np.isfinite(largest).all():
        msg = "the features hold values that are no finite numbers"
        raise ValueError(msg)
    scales = np.where(largest > 0, largest / _LARGEST[precision], 1).astype(np.float32)
    scaled = features / scales[:, None]
    if precision == "int8":
        return StoredBank(codes=np.rint(scaled).astype(np.int8), scales=scales)
    return StoredBank(codes=scaled.astype(np.float16), scales=scales)
