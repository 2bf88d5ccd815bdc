"""Compiled graphs with several batches under way at once."""

from collections.abc import Sequence
from enum import Enum
from queue import SimpleQueue
from threading import Thread

import numpy as np
import numpy.typing as npt
import openvino as ov

from streamline.backbone import Backbone
from streamline.errors import InferenceError
from streamline.infer.backend import Compute, Features, Maps, OnDone, Scores
from streamline.infer.openvino_backend.cache import trusted_folder
from streamline.infer.openvino_backend.device import compile_graph
from streamline.infer.openvino_backend.graph import (
    MAP,
    SCORE,
    feature_graph,
    map_graph,
    score_graph,
)
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
    model: Model, net: Backbone, compute: Compute, *, on_done: OnDone
) -> "OpenVinoScorer":
    """See `streamline.infer.open_scorer`."""
    core = ov.Core()
    graph = score_graph(core, net.xml, model.detector)
    with trusted_folder(SCORE, net.sha256, model.digest) as kept:
        compiled = compile_graph(core, graph, compute, kept=kept)
    return OpenVinoScorer(compiled, compute, on_done=on_done)


def open_mapper(
    model: Model, net: Backbone, compute: Compute, *, on_done: OnDone
) -> "OpenVinoMapper":
    """See `streamline.infer.open_mapper`."""
    core = ov.Core()
    graph = map_graph(core, net.xml, model.detector)
    with trusted_folder(MAP, net.sha256, model.digest) as kept:
        compiled = compile_graph(core, graph, compute, kept=kept)
    return OpenVinoMapper(compiled, compute, on_done=on_done)


def open_extractor(
    net: Backbone, layers: Sequence[str], compute: Compute, *, on_done: OnDone
) -> "OpenVinoExtractor":
    """See `streamline.infer.open_extractor`."""
    core = ov.Core()
    graph = feature_graph(core, net.xml, layers)
    with trusted_folder(net.sha256, *layers) as kept:
        compiled = compile_graph(core, graph, compute, kept=kept)
    return OpenVinoExtractor(compiled, compute, on_done=on_done, layers=tuple(layers))


class _Sign(Enum):
    """What a waiting thread is told."""

    STARTED = "started"
    CLOSE = "close"


class _Slot:
    """Buffer, request and fate of one batch at a time."""

    def __init__(self, request: ov.InferRequest, shape: tuple[int, int, int, int]) -> None:
        self.request = request
        self.pixels = np.zeros(shape, np.uint8)
        # One view per batch size, made once: a start allocates nothing.
        self.views = [
            ov.Tensor(self.pixels[:n], shared_memory=True) for n in range(1, len(self.pixels) + 1)
        ]
        self.started: SimpleQueue[RuntimeError | _Sign] = SimpleQueue()
        self.failure: RuntimeError | None = None


class _OpenVinoRequests:
    """Slots of a compiled graph, each with a thread that waits for its batch.

    OpenVINO's own callback is not called when inference fails, and a batch whose end nobody
    hears of would be frames without a verdict; a thread that waits hears of both.
    """

    def __init__(self, compiled: ov.CompiledModel, compute: Compute, *, on_done: OnDone) -> None:
        shape = compiled.input(0).get_partial_shape()
        self._height, self._width = int(shape[1].max_length), int(shape[2].max_length)
        wanted = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")) + 1
        buffer = (compute.max_batch, self._height, self._width, 3)
        self._slots = [
            _Slot(compiled.create_infer_request(), buffer) for _ in range(compute.slots or wanted)
        ]
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

    def start(self, slot: int, n: int, /) -> None:
        """Run the first `n` frames of the slot's buffer."""
        chosen = self._slots[slot]
        try:
            chosen.request.set_input_tensor(chosen.views[n - 1])
            chosen.request.start_async()
        except RuntimeError as exc:
            chosen.started.put(exc)
        else:
            chosen.started.put(_Sign.STARTED)

    def close(self) -> None:
        """Wait for what is under way and end the waiting threads."""
        for slot in self._slots:
            slot.started.put(_Sign.CLOSE)
        for waiter in self._waiters:
            waiter.join()

    def _wait(self, index: int) -> None:
        slot = self._slots[index]
        while (started := slot.started.get()) is not _Sign.CLOSE:
            slot.failure = started if isinstance(started, RuntimeError) else None
            try:
                slot.request.wait()
            except RuntimeError as exc:
                slot.failure = exc
            self._on_done(index)

    def _output(self, slot: int, name: str) -> npt.NDArray[np.generic]:
        """Copy an output of the slot's last batch, or raise what went wrong with it."""
        chosen = self._slots[slot]
        if chosen.failure is not None:
            reason = str(chosen.failure).strip().splitlines()[-1].strip()
            msg = f"OpenVINO failed on a batch of frames: {reason}"
            raise InferenceError(msg) from chosen.failure
        return np.array(chosen.request.get_tensor(name).data)


class OpenVinoScorer(_OpenVinoRequests):
    """A model's score compiled for an OpenVINO device."""

    def result(self, slot: int, /) -> Scores:
        """Return the scores of the slot's last batch."""
        return self._output(slot, SCORE).astype(np.float32, copy=False)


class OpenVinoMapper(_OpenVinoRequests):
    """A model's map compiled for an OpenVINO device."""

    def result(self, slot: int, /) -> Maps:
        """Return the maps of the slot's last batch."""
        return self._output(slot, MAP).astype(np.float16, copy=False)


class OpenVinoExtractor(_OpenVinoRequests):
    """A backbone compiled for an OpenVINO device."""

    def __init__(
        self,
        compiled: ov.CompiledModel,
        compute: Compute,
        *,
        on_done: OnDone,
        layers: tuple[str, ...],
    ) -> None:
        super().__init__(compiled, compute, on_done=on_done)
        self._layers = layers

    def result(self, slot: int, /) -> Features:
        """Return the features of the slot's last batch by layer."""
        return {
            layer: self._output(slot, layer).astype(np.float32, copy=False)
            for layer in self._layers
        }
