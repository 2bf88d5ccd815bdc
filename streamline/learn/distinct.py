"""How many distinct frames a recording holds, counted without keeping the frames' features."""

import numpy as np
import numpy.typing as npt

from streamline.fre import effective_count

__all__ = ["Distinct"]

_WIDTH = 512
"""Numbers kept of each frame: enough to know squared distances to 6 %."""


class Distinct:
    """Keeps a random projection of each frame, which keeps the distances between them.

    The same in every run. W. B. Johnson, J. Lindenstrauss, "Extensions of Lipschitz mappings
    into a Hilbert space", Contemporary Mathematics 26 (1984).
    """

    def __init__(self) -> None:
        self._projection = np.empty((0, 0), np.float32)
        self._points: list[npt.NDArray[np.float32]] = []

    def add(self, features: npt.NDArray[np.float32]) -> None:
        """Take further frames' features, shape ``(n, d)``; not modified and not kept."""
        if not self._points:
            generator = np.random.default_rng(0)
            shape = (features.shape[1], _WIDTH)
            normal = generator.standard_normal(shape, np.float32)
            self._projection = normal / np.float32(np.sqrt(_WIDTH))
        self._points.append(features @ self._projection)

    def count(self, *, noise: float) -> float:
        """Effective number of distinct frames; see `effective_count`."""
        return effective_count(np.concatenate(self._points), noise=noise)
