"""What a pipeline file says of the device, in the words of this package."""

from streamline.config import Infer
from streamline.infer.protocol import Compute

__all__ = ["compute_of"]


def compute_of(infer: Infer, /) -> Compute:
    """Read off what the models of a line run on."""
    return Compute(
        backend=infer.backend,
        device=infer.device,
        precision=infer.precision,
        streams=None if infer.streams == "auto" else infer.streams,
        threads=None if infer.threads == "auto" else infer.threads,
        max_batch=infer.batch.max,
    )
