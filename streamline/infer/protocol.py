"""What the line asks of whatever computes scores, maps and features, in slots of a batch each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = [
    "Compute",
    "Extractor",
    "Features",
    "Mapper",
    "Maps",
    "OnDone",
    "Precision",
    "Requests",
    "Scorer",
    "Scores",
]

Precision = Literal["auto", "f32", "bf16", "f16"]
"""Of arithmetic."""

Result_co = TypeVar("Result_co", covariant=True)
OnDone = Callable[[int], None]
"""Called with the slot when its batch is finished or has failed, from a thread of the backend."""

Scores = npt.NDArray[np.float32]
"""Of a batch, shape ``(n,)``: fused feature reconstruction error, >= 0."""

Maps = npt.NDArray[np.float16]
"""Of a batch, shape ``(n, mh, mw)``: fused mean square error at each place, >= 0."""

Features = Mapping[str, npt.NDArray[np.float32]]
"""Features of a batch by layer, each of shape ``(n, c * h * w)``, channels first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """What a graph runs on, and how."""

    backend: str = "openvino"
    """Key of the table of backends."""

    device: str = "CPU"
    """As the backend names it; AUTO: the one that it chooses."""

    precision: Precision = "auto"
    """Arithmetic of what is not quantised; auto: f32 for a network that is stored in f32, for
    others bf16 where a CPU has it and f16 on other devices, else f32."""

    max_batch: int = 8
    """Most frames judged together."""

    fixed_batch: bool | None = None
    """Whether the device always works on that many, whatever they are; None: CPUs don't."""

    slots: int = 0
    """Batches under way at once; 0: what the device keeps busy, and one to fill meanwhile."""

    hint: Literal["throughput", "latency"] = "throughput"
    """latency: all threads work on one batch; throughput: several batches side by side."""

    streams: int | None = None
    """Batches the device works on side by side; None: by `hint`."""

    threads: int | None = None
    """Threads of the device; None: one per core."""

    keep: bool = True
    """Whether compiled graphs are kept for the next time."""


class Requests(Protocol[Result_co]):
    """A graph compiled for a device, with room for several batches at once.

    A slot goes round `input` (fill the first n) → `start` → `on_done` → `result` → `input`.
    Different slots may be used from different threads; one slot by one thread at a time.

    Several models on one network have a head each; the frames of a batch lie in the order of
    the heads that judge them.
    """

    @property
    def height(self) -> int:
        """Rows of a frame, px."""
        ...

    @property
    def width(self) -> int:
        """Columns of a frame, px."""
        ...

    @property
    def max_batch(self) -> int:
        """Most frames in a batch."""
        ...

    @property
    def slots(self) -> int:
        """Batches that may be under way at once."""
        ...

    def input(self, slot: int, /) -> npt.NDArray[np.uint8]:
        """Return the slot's buffer, shape ``(max_batch, height, width, 3)``, RGB, to write to."""
        ...

    def start(self, slot: int, /, *counts: int) -> None:
        """Run the first frames of the buffer, which must not change until `on_done`.

        Parameters
        ----------
        *counts : int
            How many of them are for each head, in their order; heads left out get none.
        """
        ...

    def result(self, slot: int, /, *, head: int = 0) -> Result_co:
        """Return what a head gave for its frames of the slot's last batch, in fresh arrays.

        Only for a head that had frames.

        Raises
        ------
        InferenceError
            If the device failed on it; other heads' results may be there all the same.
        DeviceLostError
            If nothing more can be computed in this process.
        """
        ...

    def close(self) -> None:
        """Wait for what is under way and release the device."""
        ...


Scorer = Requests[Scores]
"""Scores of one model, or of several on one network, compiled for a device."""

Mapper = Requests[Maps]
"""Maps of one model, or of several on one network, compiled for a device."""

Extractor = Requests[Features]
"""A backbone compiled for a device."""
