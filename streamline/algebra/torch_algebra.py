"""What `streamline.fre.Algebra` asks for, on a device of torch.

Features come a bounded number of columns at a time, in single precision, and are widened on the
device; what goes back is as small as the frames are few, or as wide as what was asked for.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamline.fre import Gram, column_parts, require_finite, require_frames

__all__ = ["TorchAlgebra"]

Floats = npt.NDArray[np.floating]
Singles = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


class TorchAlgebra:
    """See `streamline.fre.Algebra`; all is in float64, but for weights that are in float32.

    Parameters
    ----------
    device : str
        As torch names it.

    Raises
    ------
    ValueError
        By its methods: if the device fails, or has too little memory.
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)

    def gram(self, features: Floats, /) -> Gram:
        """Multiply centred frames with one another."""
        require_frames(features)
        mean = np.empty(features.shape[1], np.float32)
        n = len(features)
        with self._told():
            products = torch.zeros((n, n), dtype=torch.float64, device=self._device)
            energy = torch.zeros((), dtype=torch.float64, device=self._device)
            for part in column_parts(features):
                wide = self._taken(features[:, part]).double()
                energy += wide.square().sum()
                middle = wide.mean(dim=0)
                mean[part] = middle.float().cpu().numpy()
                wide -= middle
                products += wide @ wide.T
            require_finite(float(energy))
            return Gram(products.cpu().numpy(), mean, float(energy))

    def products(self, rows: Singles, /) -> Doubles:
        """Multiply rows with one another as they are."""
        with self._told():
            products = torch.zeros((len(rows), len(rows)), dtype=torch.float64, device=self._device)
            for part in column_parts(rows):
                wide = self._taken(rows[:, part]).double()
                products += wide @ wide.T
            return np.asarray(products.cpu().numpy(), np.float64)

    def eigh(self, symmetric: Doubles, /) -> tuple[Doubles, Doubles]:
        """Return eigenvalues, the smallest first, and eigenvectors as columns."""
        with self._told():
            values, vectors = torch.linalg.eigh(self._taken(symmetric))
            return values.cpu().numpy(), vectors.cpu().numpy()

    def combine(self, weights: Floats, rows: Floats, /, *, centred: bool, out: Singles) -> None:
        """Add up rows, in the arithmetic of the weights."""
        with self._told():
            factors = self._taken(weights)
            for part in column_parts(rows):
                wide = self._taken(rows[:, part]).to(factors.dtype)
                if centred:
                    wide = wide - wide.mean(dim=0)
                out[:, part] = (factors @ wide).float().cpu().numpy()

    def _taken(self, numbers: Floats) -> Tensor:
        # Copied, as `from_numpy` would take no array that is read-only.
        return torch.tensor(numbers, device=self._device)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in a sentence what the device can't do."""
        try:
            yield
        except torch.OutOfMemoryError as exc:
            msg = f"the memory of device {str(self._device)!r} is too small for this fit; take "
            raise ValueError(msg + "fewer frames, a smaller layer, or fit on the CPU") from exc
        except RuntimeError as exc:
            reason = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
            msg = f"device {str(self._device)!r} failed: {reason}"
            raise ValueError(msg) from exc
