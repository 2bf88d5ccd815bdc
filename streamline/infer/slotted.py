"""What the requests of all backends have in common: slots, and how results are read from them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from streamline.infer.graphs import MAP, SCORE
from streamline.infer.protocol import Features, Maps, Scores

__all__ = ["BatchSlot", "SlottedRequests", "feature_reader", "read_maps", "read_scores"]

Result = TypeVar("Result")
Slot = TypeVar("Slot", bound="BatchSlot")

Output = Callable[[str], npt.NDArray[Any]]
"""Copies what a head gave by a name."""


class BatchSlot(Protocol):
    """Room for one batch."""

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """Its buffer, shape ``(n, h, w, 3)``."""
        ...

    def start(self, counts: tuple[int, ...]) -> None:
        """Take the buffer's first frames, so many for each head."""
        ...

    def output(self, head: int, name: str) -> npt.NDArray[Any]:
        """Copy what a head gave by that name, or raise what went wrong with it."""
        ...


class SlottedRequests(ABC, Generic[Slot, Result]):
    """Slots of a graph; see `streamline.infer.protocol.Requests`.

    Parameters
    ----------
    slots : sequence of BatchSlot
    read : callable
        Makes a result of a head's outputs.
    """

    def __init__(self, slots: Sequence[Slot], read: Callable[[Output], Result]) -> None:
        self._slots = slots
        self._read = read

    @property
    def height(self) -> int:
        """Rows of a frame, px."""
        return int(self._slots[0].pixels.shape[1])

    @property
    def width(self) -> int:
        """Columns of a frame, px."""
        return int(self._slots[0].pixels.shape[2])

    @property
    def max_batch(self) -> int:
        """Most frames in a batch."""
        return len(self._slots[0].pixels)

    @property
    def slots(self) -> int:
        """Batches that may be under way at once."""
        return len(self._slots)

    def input(self, slot: int, /) -> npt.NDArray[np.uint8]:
        """Return the slot's buffer to write frames to."""
        return self._slots[slot].pixels

    def start(self, slot: int, /, *counts: int) -> None:
        """Run the first frames of the slot's buffer, so many for each head."""
        self._slots[slot].start(counts)
        self._started(slot)

    def result(self, slot: int, /, *, head: int = 0) -> Result:
        """Return what a head gave for its frames of the slot's last batch."""
        return self._read(partial(self._slots[slot].output, head))

    @abstractmethod
    def _started(self, slot: int) -> None:
        """See to it that somebody waits for the slot's batch."""

    @abstractmethod
    def close(self) -> None:
        """Wait for what is under way and release the device."""


def read_scores(output: Output) -> Scores:
    """Read scores of a head."""
    return output(SCORE).astype(np.float32, copy=False)


def read_maps(output: Output) -> Maps:
    """Read maps of a head."""
    return output(MAP).astype(np.float16, copy=False)


def feature_reader(layers: Sequence[str]) -> Callable[[Output], Features]:
    """Make what reads features by layer."""
    return lambda output: {layer: output(layer).astype(np.float32, copy=False) for layer in layers}
