"""One batch at a time: its buffer, its way to the device and back, and its fate."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx

from streamline.errors import InferenceError

__all__ = ["Device", "Graphs", "Slot"]


@dataclass(frozen=True, slots=True)
class Graphs:
    """A network, with its only head or none, and the heads of several models."""

    network: fx.GraphModule
    heads: tuple[fx.GraphModule, ...]
    outputs: tuple[str, ...]
    """Names of what the heads give, or the network if there are none."""

    def on(self, device: torch.device) -> Self:
        """Put their weights on a device."""
        for module in (self.network, *self.heads):
            module.to(device)
        return self


class Device:
    """Where graphs run.

    Parameters
    ----------
    threads : int, optional
        Of a CPU; as torch likes if not given.
    """

    def __init__(self, device: torch.device, *, threads: int | None = None) -> None:
        self.torch = device
        if threads is not None and device.type == "cpu":
            torch.set_num_threads(threads)

    @property
    def pinned(self) -> bool:
        """Whether host memory that is read and written by it should be pinned."""
        return self.torch.type == "cuda"

    def stream(self) -> "torch.cuda.Stream | None":
        """Make a queue of work of its own; None: work is done when a call returns."""
        if not self.pinned:
            return None
        return torch.cuda.Stream(self.torch)  # type: ignore[no-untyped-call]


class Slot:
    """Room for one batch.

    Parameters
    ----------
    shape : (n, h, w, 3)
        Of the buffer.
    """

    def __init__(self, graphs: Graphs, device: Device, shape: tuple[int, int, int, int]) -> None:
        self._graphs = graphs
        self._device = device
        self._stream = device.stream()
        self._frames = torch.zeros(*shape, dtype=torch.uint8, pin_memory=device.pinned)
        self.pixels: npt.NDArray[np.uint8] = self._frames.numpy()
        self.outputs = graphs.outputs
        self._ends: list[int] = []
        self._results: list[tuple[Tensor, ...] | None] = []
        self._failure: Exception | None = None

    def start(self, counts: tuple[int, ...]) -> None:
        """Take the buffer's first frames, so many for each head."""
        self._ends = list(accumulate(counts))

    def run(self) -> None:
        """Compute, and wait for the end, good or bad."""
        self._results, self._failure = [], None
        try:
            with torch.inference_mode(), self._in_order():
                found = self._graphs.network(self._copied(self._frames[: self._ends[-1]]))
                for results in self._by_head(found):
                    self._results.append(None if results is None else self._fetched(results))
        except Exception as exc:  # noqa: BLE001 - raised again where the result is asked for
            # Whatever happened: a batch nobody hears of would be frames without a verdict.
            self._failure = exc

    @contextmanager
    def _in_order(self) -> Iterator[None]:
        """Queue work on a stream of the slot's own, and wait for all of it."""
        if self._stream is None:
            yield
            return
        with torch.cuda.stream(self._stream):
            yield
        self._stream.synchronize()

    def _by_head(self, found: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, ...] | None]:
        if not self._graphs.heads:
            yield found
            return
        spans = zip(self._graphs.heads, [0, *self._ends], self._ends, strict=False)
        for head, first, end in spans:
            yield head(*(rows[first:end] for rows in found)) if first < end else None

    def _copied(self, frames: Tensor) -> Tensor:
        return frames.to(self._device.torch, non_blocking=True)

    def _fetched(self, results: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(one.to("cpu", non_blocking=self._device.pinned) for one in results)

    def require(self) -> None:
        """Raise what went wrong with the batch."""
        if self._failure is not None:
            reason = str(self._failure).strip().splitlines()[0].strip()
            msg = f"torch failed on a batch of frames: {reason}"
            raise InferenceError(msg) from self._failure

    def output(self, head: int, name: str) -> npt.NDArray[np.generic]:
        """Copy what a head gave by that name, or raise what went wrong."""
        self.require()
        results = self._results[head]
        if results is None:
            msg = f"head {head} had no frames in this batch"
            raise ValueError(msg)
        return np.array(results[self.outputs.index(name)].numpy())
