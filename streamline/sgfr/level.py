"""One layer's bank opened for use: products, pursuit and residual of a batch of frames."""

import numpy as np
import numpy.typing as npt

from streamline.sgfr.pursuit import Pursuit, gram_of, orthogonal_matching_pursuit

__all__ = ["Level"]

Single = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


class Level:
    """A layer's bank in float32, and its Gram matrix.

    Features are multiplied in float32, all frames of a batch at once; everything that follows
    from the products is in float64.

    Parameters
    ----------
    bank : array of shape (n, d)
        One row per normal frame; held, not copied, and never written to.
    seen : array of shape (d,), optional
        Which features count, those of the bank being 0 elsewhere; all if not given.
    """

    def __init__(self, bank: Single, seen: Bools | None = None) -> None:
        self._bank = bank
        self._seen = seen
        self._gram = gram_of(bank)

    @property
    def frames(self) -> int:
        """Number of frames in the bank."""
        return len(self._bank)

    def pursue(
        self,
        features: Single,
        /,
        *,
        sparsity: int,
        tolerance: float = 0.0,
        candidates: Bools | None = None,
    ) -> Pursuit:
        """Choose columns for each frame; see `orthogonal_matching_pursuit`.

        Parameters
        ----------
        features : array of shape (b, d)
            One row per frame; not modified.
        """
        features = self._cut(features)
        products = (features @ self._bank.T).astype(np.float64)
        energies = np.einsum("bd,bd->b", features, features, dtype=np.float64)
        return orthogonal_matching_pursuit(
            self._gram,
            products,
            energies,
            sparsity=sparsity,
            tolerance=tolerance,
            candidates=candidates,
        )

    def residual(self, features: Single, pursuit: Pursuit, /) -> Single:
        """Take off what the chosen columns explain: ``e = y - X c``, shape ``(b, d)``.

        The frames of a batch choose many columns in common, so the columns that any of them
        chose are read once and multiplied together.
        """
        used, place = np.unique(pursuit.support, return_inverse=True)
        shares = np.zeros((len(features), len(used)), np.float32)
        # Where a pursuit stopped early the place is that of -1, and the coefficient is 0.
        np.put_along_axis(
            shares,
            place.reshape(pursuit.support.shape),
            pursuit.coefficients.astype(np.float32),
            axis=1,
        )
        return self._cut(features) - shares @ self._bank[used]

    def _cut(self, features: Single) -> Single:
        return features if self._seen is None else features * self._seen
