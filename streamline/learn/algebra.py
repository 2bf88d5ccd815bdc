"""What multiplies the features of a fit: the device that computes them, if torch drives it."""

from importlib import import_module

from streamline.fre import HOST, Algebra
from streamline.infer import Compute

__all__ = ["algebra_of"]


def algebra_of(compute: Compute) -> Algebra:
    """Return the algebra that goes with settled compute; NumPy's where torch is not used."""
    if compute.backend != "torch":
        return HOST
    algebra: Algebra = import_module("streamline.algebra").TorchAlgebra(compute.device.lower())
    return algebra
