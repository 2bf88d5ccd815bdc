"""Translated graphs with several batches under way at once."""

from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Final, TypeVar

import openvino as ov
import torch

from streamline.backbone import Backbone
from streamline.errors import ConfigError
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
from streamline.infer.network import refusing
from streamline.infer.protocol import Compute, Features, Maps, OnDone, Scores
from streamline.infer.slotted import (
    Output,
    SlottedRequests,
    feature_reader,
    read_maps,
    read_scores,
)
from streamline.infer.torch_backend.device import dtype_of, settle
from streamline.infer.torch_backend.engine import Engine, Graphs
from streamline.infer.torch_backend.processors import processor_of
from streamline.infer.torch_backend.slots import Slot
from streamline.infer.torch_backend.translate import translate
from streamline.model import Model

__all__ = [
    "TorchRequests",
    "open_extractor",
    "open_mapper",
    "open_scorer",
]

Result = TypeVar("Result")

_STREAMS: Final = {"cpu": 1, "cuda": 2}
"""Batches under way at once unless said otherwise: a GPU is sent one while it computes another."""


def open_scorer(
    models: Sequence[Model], net: Backbone, compute: Compute, *, on_done: OnDone
) -> "TorchRequests[Scores]":
    """See `streamline.infer.open_scorer`."""
    # Directions in 8 bits would only be turned back: torch has no product that takes them.
    layers = score_network(models[0]).layers
    compute = settle(compute, stored=net.precision)
    with refusing(net):
        graphs = _graphs(models, exact_score_head, net, layers, compute)
    return TorchRequests(graphs, net, compute, read_scores, on_done=on_done)


def open_mapper(
    models: Sequence[Model], net: Backbone, compute: Compute, *, on_done: OnDone
) -> "TorchRequests[Maps]":
    """See `streamline.infer.open_mapper`."""
    layers = map_network(models[0]).layers
    compute = settle(compute, stored=net.precision)
    with refusing(net):
        graphs = _graphs(models, map_head, net, layers, compute)
    return TorchRequests(graphs, net, compute, read_maps, on_done=on_done)


def open_extractor(
    net: Backbone, layers: Sequence[str], compute: Compute, *, on_done: OnDone
) -> "TorchRequests[Features]":
    """See `streamline.infer.open_extractor`."""
    compute = settle(compute, stored=net.precision)
    with refusing(net):
        network = translate(feature_graph(ov.Core(), net, layers), dtype_of(compute))
    graphs = Graphs(network, (), tuple(layers))
    return TorchRequests(graphs, net, compute, feature_reader(layers), on_done=on_done)


def _graphs(
    models: Sequence[Model], head: Head, net: Backbone, layers: Sequence[str], compute: Compute
) -> Graphs:
    """Join a lone model's head with the network; give several models graphs of their own."""
    dtype, outputs = dtype_of(compute), (MAP if head is map_head else SCORE,)
    if len(models) == 1:
        joined = joined_graph(ov.Core(), net, layers, head, models[0].fre)
        return Graphs(translate(joined, dtype), (), outputs)
    network = translate(feature_graph(ov.Core(), net, layers), dtype)
    heads = [translate(head_graph(net, layers, head, model.fre), dtype) for model in models]
    return Graphs(network, tuple(heads), outputs)


class TorchRequests(SlottedRequests[Slot, Result]):
    """Slots of translated graphs, and a thread for each batch that may be under way.

    Batches are computed side by side on a CPU, on a GPU one after the other without a gap.
    """

    def __init__(
        self,
        graphs: Graphs,
        net: Backbone,
        compute: Compute,
        read: Callable[[Output], Result],
        *,
        on_done: OnDone,
    ) -> None:
        shape = (compute.max_batch, net.height, net.width, 3)
        try:
            processor = processor_of(compute)
            streams = compute.streams or _STREAMS[processor.device.type]
            engine = Engine(graphs, processor, shape)
            slots = [Slot(engine, processor, shape) for _ in range(compute.slots or streams + 1)]
            # What a device lacks shows now, and the first frames need not wait for it.
            slots[0].try_out()
        except RuntimeError as exc:
            raise _refused(exc, compute) from exc
        super().__init__(slots, read)
        self._on_done = on_done
        self._queue: SimpleQueue[int | None] = SimpleQueue()
        self._runners = [
            Thread(target=self._run, name=f"infer-stream-{index}", daemon=True)
            for index in range(streams)
        ]
        for runner in self._runners:
            runner.start()

    def close(self) -> None:
        """Wait for what is under way and end the threads."""
        for _ in self._runners:
            self._queue.put(None)
        for runner in self._runners:
            runner.join()

    def _started(self, slot: int) -> None:
        self._queue.put(slot)

    def _run(self) -> None:
        while (index := self._queue.get()) is not None:
            self._slots[index].run()
            self._on_done(index)


def _refused(failure: RuntimeError, compute: Compute) -> ConfigError:
    """Say in a sentence why graphs can't be opened on a device."""
    reason = (str(failure).strip().splitlines() or [type(failure).__name__])[0]
    if isinstance(failure, torch.OutOfMemoryError):
        reason = (
            f"its memory is too small for batches of {compute.max_batch} frames; take smaller "
            f"ones (infer.batch.max), or end what else uses it ({reason})"
        )
    return ConfigError(f"torch can't run the model on device {compute.device!r}: {reason}")
