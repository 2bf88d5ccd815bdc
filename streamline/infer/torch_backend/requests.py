"""Translated graphs with several batches under way at once."""

from collections.abc import Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Final

import numpy as np
import numpy.typing as npt
import openvino as ov

from streamline.backbone import Backbone
from streamline.errors import ConfigError, InferenceError
from streamline.infer.backend import map_network, score_network
from streamline.infer.graphs import (
    MAP,
    SCORE,
    Head,
    exact_score_head,
    feature_graph,
    head_graph,
    joined_graph,
    map_head,
)
from streamline.infer.protocol import Compute, Features, Maps, OnDone, Scores
from streamline.infer.torch_backend.device import device_of, dtype_of, settle
from streamline.infer.torch_backend.slots import Device, Graphs, Slot
from streamline.infer.torch_backend.translate import translate
from streamline.model import Model

__all__ = [
    "TorchExtractor",
    "TorchMapper",
    "TorchScorer",
    "open_extractor",
    "open_mapper",
    "open_scorer",
]

_STREAMS: Final = {"cpu": 1, "cuda": 2}
"""Batches side by side unless said otherwise: a GPU is sent one while it computes another."""


def open_scorer(
    models: Sequence[Model], net: Backbone, compute: Compute, *, on_done: OnDone
) -> "TorchScorer":
    """See `streamline.infer.open_scorer`."""
    # Directions in 8 bits would only be turned back: torch has no product that takes them.
    layers = score_network(models[0]).layers
    compute = settle(compute, exact=net.precision == "f32")
    graphs = _graphs(models, exact_score_head, net, layers, compute, [SCORE])
    return TorchScorer(graphs, net, compute, on_done=on_done)


def open_mapper(
    models: Sequence[Model], net: Backbone, compute: Compute, *, on_done: OnDone
) -> "TorchMapper":
    """See `streamline.infer.open_mapper`."""
    layers = map_network(models[0]).layers
    compute = settle(compute, exact=net.precision == "f32")
    graphs = _graphs(models, map_head, net, layers, compute, [MAP])
    return TorchMapper(graphs, net, compute, on_done=on_done)


def open_extractor(
    net: Backbone, layers: Sequence[str], compute: Compute, *, on_done: OnDone
) -> "TorchExtractor":
    """See `streamline.infer.open_extractor`."""
    compute = settle(compute, exact=net.precision == "f32")
    network = translate(feature_graph(ov.Core(), net, layers), dtype_of(compute))
    graphs = Graphs(network, (), tuple(layers))
    return TorchExtractor(graphs, net, compute, on_done=on_done)


def _graphs(
    models: Sequence[Model],
    head: Head,
    net: Backbone,
    layers: Sequence[str],
    compute: Compute,
    outputs: Sequence[str],
) -> Graphs:
    """Join a lone model's head with the network; give several models graphs of their own."""
    dtype = dtype_of(compute)
    if len(models) == 1:
        joined = joined_graph(ov.Core(), net, layers, head, models[0].fre)
        return Graphs(translate(joined, dtype), (), tuple(outputs))
    network = translate(feature_graph(ov.Core(), net, layers), dtype)
    heads = [translate(head_graph(net, layers, head, model.fre), dtype) for model in models]
    return Graphs(network, tuple(heads), tuple(outputs))


class _TorchRequests:
    """Slots of translated graphs; as many threads run batches as go side by side."""

    def __init__(self, graphs: Graphs, net: Backbone, compute: Compute, *, on_done: OnDone) -> None:
        device = Device(device_of(compute), threads=compute.threads)
        streams = compute.streams or _STREAMS[device.torch.type]
        self._height, self._width = net.height, net.width
        shape = (compute.max_batch, net.height, net.width, 3)
        try:
            graphs = graphs.on(device.torch)
            self._slots = [Slot(graphs, device, shape) for _ in range(compute.slots or streams + 1)]
            # What a device lacks shows now, and the first frames need not wait for it.
            self._slots[0].start((compute.max_batch,))
            self._slots[0].run()
            self._slots[0].require()
        except (InferenceError, RuntimeError) as exc:
            reason = str(exc).strip().splitlines()[0]
            msg = f"torch can't run the model on device {compute.device!r}: {reason}"
            raise ConfigError(msg) from exc
        self._on_done = on_done
        self._started: SimpleQueue[int | None] = SimpleQueue()
        self._runners = [
            Thread(target=self._run, name=f"infer-stream-{index}", daemon=True)
            for index in range(streams)
        ]
        for runner in self._runners:
            runner.start()

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
        self._started.put(slot)

    def close(self) -> None:
        """Wait for what is under way and end the threads."""
        for _ in self._runners:
            self._started.put(None)
        for runner in self._runners:
            runner.join()

    def _run(self) -> None:
        while (index := self._started.get()) is not None:
            self._slots[index].run()
            self._on_done(index)

    def _output(self, slot: int, head: int, name: str) -> npt.NDArray[np.generic]:
        return self._slots[slot].output(head, name)


class TorchScorer(_TorchRequests):
    """Scores of models on a device of torch."""

    def result(self, slot: int, /, *, head: int = 0) -> Scores:
        """Return the scores of a head's frames in the slot's last batch."""
        return self._output(slot, head, SCORE).astype(np.float32, copy=False)


class TorchMapper(_TorchRequests):
    """Maps of models on a device of torch."""

    def result(self, slot: int, /, *, head: int = 0) -> Maps:
        """Return the maps of a head's frames in the slot's last batch."""
        return self._output(slot, head, MAP).astype(np.float16, copy=False)


class TorchExtractor(_TorchRequests):
    """A backbone on a device of torch."""

    def result(self, slot: int, /, *, head: int = 0) -> Features:
        """Return the features of the slot's last batch by layer."""
        return {
            layer: self._output(slot, head, layer).astype(np.float32, copy=False)
            for layer in self._slots[slot].outputs
        }
