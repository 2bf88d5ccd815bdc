"""Compiled graphs with several batches under way at once."""

from collections.abc import Callable, Sequence
from enum import Enum
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from streamline.backbone import Backbone
from streamline.infer.backend import map_network, score_network
from streamline.infer.graphs import exact_score_head, map_head, score_head
from streamline.infer.openvino_backend.compiled import (
    Compiled,
    compile_features,
    compile_models,
)
from streamline.infer.openvino_backend.slots import Slot
from streamline.infer.protocol import Compute, Features, Maps, OnDone, Scores
from streamline.infer.slotted import (
    Output,
    SlottedRequests,
    feature_reader,
    read_maps,
    read_scores,
)
from streamline.model import Model

__all__ = [
    "OpenVinoRequests",
    "open_extractor",
    "open_mapper",
    "open_scorer",
]


def open_scorer(
    models: Sequence[Model], net: Backbone, compute: Compute, *, on_done: OnDone
) -> "OpenVinoRequests[Scores]":
    """See `streamline.infer.open_scorer`."""
    layers = score_network(models[0]).layers
    head = exact_score_head if net.precision == "f32" else score_head
    compiled = compile_models(models, head, net, layers, compute)
    return OpenVinoRequests(compiled, compute, read_scores, on_done=on_done)


def open_mapper(
    models: Sequence[Model], net: Backbone, compute: Compute, *, on_done: OnDone
) -> "OpenVinoRequests[Maps]":
    """See `streamline.infer.open_mapper`."""
    layers = map_network(models[0]).layers
    compiled = compile_models(models, map_head, net, layers, compute)
    return OpenVinoRequests(compiled, compute, read_maps, on_done=on_done)


def open_extractor(
    net: Backbone, layers: Sequence[str], compute: Compute, *, on_done: OnDone
) -> "OpenVinoRequests[Features]":
    """See `streamline.infer.open_extractor`."""
    compiled = compile_features(net, layers, compute)
    return OpenVinoRequests(compiled, compute, feature_reader(layers), on_done=on_done)


Result = TypeVar("Result")


class _Sign(Enum):
    """What the thread that waits for a slot is told."""

    STARTED = "started"
    CLOSE = "close"


class OpenVinoRequests(SlottedRequests[Slot, Result]):
    """Slots of a compiled graph, each with a thread that waits for its batch.

    OpenVINO's own callback is not called when inference fails, and a batch whose end nobody
    hears of would be frames without a verdict; a thread that waits hears of both.
    """

    def __init__(
        self,
        compiled: Compiled,
        compute: Compute,
        read: Callable[[Output], Result],
        *,
        on_done: OnDone,
    ) -> None:
        shape = compiled.network.input(0).get_partial_shape()
        height, width = int(shape[1].max_length), int(shape[2].max_length)
        wanted = int(compiled.network.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")) + 1
        buffer = (compute.max_batch, height, width, 3)
        super().__init__([Slot(compiled, buffer) for _ in range(compute.slots or wanted)], read)
        self._signs: list[SimpleQueue[_Sign]] = [SimpleQueue() for _ in self._slots]
        self._on_done = on_done
        self._waiters = [
            Thread(target=self._wait, args=(index,), name=f"infer-slot-{index}", daemon=True)
            for index in range(len(self._slots))
        ]
        for waiter in self._waiters:
            waiter.start()

    def close(self) -> None:
        """Wait for what is under way and end the waiting threads."""
        for signs in self._signs:
            signs.put(_Sign.CLOSE)
        for waiter in self._waiters:
            waiter.join()

    def _started(self, slot: int) -> None:
        self._signs[slot].put(_Sign.STARTED)

    def _wait(self, index: int) -> None:
        while self._signs[index].get() is not _Sign.CLOSE:
            self._slots[index].finish()
            self._on_done(index)
