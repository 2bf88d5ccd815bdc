"""The products and eigenvalues of a fit on a device that torch drives."""

from streamline.algebra.torch_algebra import TorchAlgebra

__all__ = ["TorchAlgebra"]
