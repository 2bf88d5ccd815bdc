"""What a pipeline file says of the device, in the words of this package."""

from streamline.config import Infer
from streamline.infer.protocol import Compute

__all__ = ["compute_of"]


def compute_of(infer: Infer, device: str | None = None, /, *, alone: bool = False) -> Compute:
    """Read off what the models of a line run on.

    Parameters
    ----------
    infer : Infer
    device : str, optional
        Which of its devices; the first unless given.
    alone : bool
        Whether a frame seldom comes while another is judged, as with a single camera: it then has
        all threads, unless the file says how many batches there are to be side by side.
    """
    return Compute(
        backend=infer.backend,
        device=infer.all_devices[0] if device is None else device,
        precision=infer.precision,
        hint="latency" if alone and infer.streams == "auto" else "throughput",
        streams=None if infer.streams == "auto" else infer.streams,
        threads=None if infer.threads == "auto" else infer.threads,
        max_batch=infer.batch.max,
    )
