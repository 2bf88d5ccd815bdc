"""One batch at a time: its buffer, its way through the network and the heads, and its fate."""

from itertools import accumulate

import numpy as np
import numpy.typing as npt
import openvino as ov

from streamline.errors import InferenceError
from streamline.infer.openvino_backend.compiled import Compiled

__all__ = ["Slot"]


class _Run:
    """A batch, or a head's share of it, in one graph."""

    def __init__(self, compiled: ov.CompiledModel) -> None:
        self._request = compiled.create_infer_request()
        self._inputs = [port.get_any_name() for port in compiled.inputs]
        self.failure: RuntimeError | None = None

    def start(self, frames: ov.Tensor) -> None:
        """Begin with frames; what goes wrong is found by `wait`."""
        self.failure = None
        try:
            self._request.set_input_tensor(frames)
            self._request.start_async()
        except RuntimeError as exc:
            self.failure = exc

    def start_on(self, network: "_Run", first: int, end: int) -> None:
        """Begin with some rows of a network's features, where they are."""
        self.failure = network.failure
        if self.failure is not None:
            return
        try:
            for name in self._inputs:
                self._request.set_tensor(name, network.rows(name, first, end))
            self._request.start_async()
        except RuntimeError as exc:
            self.failure = exc

    def rows(self, name: str, first: int, end: int) -> ov.Tensor:
        """Lend some rows of an output of shape ``(n, d)``, until the next start."""
        whole = self._request.get_tensor(name)
        return ov.Tensor(whole, [first, 0], [end, whole.shape[1]])

    def wait(self) -> None:
        """Wait for the end, good or bad."""
        if self.failure is not None:
            return
        try:
            self._request.wait()
        except RuntimeError as exc:
            self.failure = exc

    def output(self, name: str, rows: slice) -> npt.NDArray[np.generic]:
        """Copy rows of an output, or raise what went wrong."""
        if self.failure is not None:
            reason = str(self.failure).strip().splitlines()[-1].strip()
            msg = f"OpenVINO failed on a batch of frames: {reason}"
            raise InferenceError(msg) from self.failure
        return np.array(self._request.get_tensor(name).data[rows])


class Slot:
    """Room for one batch.

    Parameters
    ----------
    compiled : Compiled
    shape : (n, h, w, 3)
        Of the buffer.
    """

    def __init__(self, compiled: Compiled, shape: tuple[int, int, int, int]) -> None:
        self._network = _Run(compiled.network)
        self._heads = [_Run(head) for head in compiled.heads]
        self._fixed = compiled.fixed
        self._ends: list[int] = []
        self.pixels = np.zeros(shape, np.uint8)
        # One view per batch size, made once: a start allocates nothing.
        self.views = [
            ov.Tensor(self.pixels[:n], shared_memory=True) for n in range(1, len(self.pixels) + 1)
        ]

    def start(self, counts: tuple[int, ...]) -> None:
        """Begin with the buffer's first frames, so many for each head.

        Where batches are fixed, what else lies in the buffer runs too, and nobody asks for it.
        """
        self._ends = list(accumulate(counts))
        self._network.start(self.views[-1 if self._fixed else self._ends[-1] - 1])

    def finish(self) -> None:
        """Wait for the network, then run the heads that have frames, side by side."""
        self._network.wait()
        spans = zip(self._heads, [0, *self._ends], self._ends, strict=False)
        busy = [(head, first, end) for head, first, end in spans if first < end]
        for head, first, end in busy:
            rows = (0, len(self.pixels)) if self._fixed else (first, end)
            head.start_on(self._network, *rows)
        for head, _, _ in busy:
            head.wait()

    def output(self, head: int, name: str) -> npt.NDArray[np.generic]:
        """Copy what a head gave by that name, or raise what went wrong with it."""
        first, end = [0, *self._ends][head], self._ends[head]
        if not self._heads:
            return self._network.output(name, slice(end))
        return self._heads[head].output(name, slice(first, end) if self._fixed else slice(None))
