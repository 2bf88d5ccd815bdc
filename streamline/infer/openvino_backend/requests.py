"""Compiled graphs with several batches under way at once."""

from collections.abc import Sequence
from enum import Enum
from queue import SimpleQueue
from threading import Thread

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone
from streamline.infer.backend import map_network, score_network
from streamline.infer.graphs import (
    MAP,
    SCORE,
    exact_score_head,
    map_head,
    score_head,
)
from streamline.infer.openvino_backend.compiled import (
    Compiled,
    compile_features,
    compile_models,
)
from streamline.infer.openvino_backend.slots import Slot
from streamline.infer.protocol import Compute, Features, Maps, OnDone, Scores
from streamline.model import Model

__all__ = [
    "OpenVinoExtractor",
    "OpenVinoMapper",
    "OpenVinoScorer",
    "open_extractor",
    "open_mapper",
    "open_scorer",
]


def open_scorer(
    models: Sequence[Model], net: Backbone, compute: Compute, *, on_done: OnDone
) -> "OpenVinoScorer":
    """See `streamline.infer.open_scorer`."""
    layers = score_network(models[0]).layers
    head = exact_score_head if net.precision == "f32" else score_head
    compiled = compile_models(models, head, net, layers, compute)
    return OpenVinoScorer(compiled, compute, on_done=on_done)


def open_mapper(
    models: Sequence[Model], net: Backbone, compute: Compute, *, on_done: OnDone
) -> "OpenVinoMapper":
    """See `streamline.infer.open_mapper`."""
    layers = map_network(models[0]).layers
    compiled = compile_models(models, map_head, net, layers, compute)
    return OpenVinoMapper(compiled, compute, on_done=on_done)


def open_extractor(
    net: Backbone, layers: Sequence[str], compute: Compute, *, on_done: OnDone
) -> "OpenVinoExtractor":
    """See `streamline.infer.open_extractor`."""
    compiled = compile_features(net, layers, compute)
    return OpenVinoExtractor(compiled, compute, on_done=on_done, layers=tuple(layers))


class _Sign(Enum):
    """What the thread that waits for a slot is told."""

    STARTED = "started"
    CLOSE = "close"


class _OpenVinoRequests:
    """Slots of a compiled graph, each with a thread that waits for its batch.

    OpenVINO's own callback is not called when inference fails, and a batch whose end nobody
    hears of would be frames without a verdict; a thread that waits hears of both.
    """

    def __init__(self, compiled: Compiled, compute: Compute, *, on_done: OnDone) -> None:
        shape = compiled.network.input(0).get_partial_shape()
        self._height, self._width = int(shape[1].max_length), int(shape[2].max_length)
        wanted = int(compiled.network.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")) + 1
        buffer = (compute.max_batch, self._height, self._width, 3)
        self._slots = [Slot(compiled, buffer) for _ in range(compute.slots or wanted)]
        self._signs: list[SimpleQueue[_Sign]] = [SimpleQueue() for _ in self._slots]
        self._on_done = on_done
        self._waiters = [
            Thread(target=self._wait, args=(index,), name=f"infer-slot-{index}", daemon=True)
            for index in range(len(self._slots))
        ]
        for waiter in self._waiters:
            waiter.start()

    @property
    def height(self) -> int:
        """Rows of a frame, px."""
        return self._height

    @property
    def width(self) -> int:
        """Columns of a frame, px."""
        return self._width

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
        self._signs[slot].put(_Sign.STARTED)

    def close(self) -> None:
        """Wait for what is under way and end the waiting threads."""
        for signs in self._signs:
            signs.put(_Sign.CLOSE)
        for waiter in self._waiters:
            waiter.join()

    def _wait(self, index: int) -> None:
        while self._signs[index].get() is not _Sign.CLOSE:
            self._slots[index].finish()
            self._on_done(index)

    def _output(self, slot: int, head: int, name: str) -> npt.NDArray[np.generic]:
        return self._slots[slot].output(head, name)


class OpenVinoScorer(_OpenVinoRequests):
    """Scores of models compiled for an OpenVINO device."""

    def result(self, slot: int, /, *, head: int = 0) -> Scores:
        """Return the scores of a head's frames in the slot's last batch."""
        return self._output(slot, head, SCORE).astype(np.float32, copy=False)


class OpenVinoMapper(_OpenVinoRequests):
    """Maps of models compiled for an OpenVINO device."""

    def result(self, slot: int, /, *, head: int = 0) -> Maps:
        """Return the maps of a head's frames in the slot's last batch."""
        return self._output(slot, head, MAP).astype(np.float16, copy=False)


class OpenVinoExtractor(_OpenVinoRequests):
    """A backbone compiled for an OpenVINO device."""

    def __init__(
        self,
        compiled: Compiled,
        compute: Compute,
        *,
        on_done: OnDone,
        layers: tuple[str, ...],
    ) -> None:
        super().__init__(compiled, compute, on_done=on_done)
        self._layers = layers

    def result(self, slot: int, /, *, head: int = 0) -> Features:
        """Return the features of the slot's last batch by layer."""
        return {
            layer: self._output(slot, head, layer).astype(np.float32, copy=False)
            for layer in self._layers
        }
