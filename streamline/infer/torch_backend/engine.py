"""Graphs on a device: as they are, or in a few batch sizes that are captured once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import structlog
import torch
from torch import Tensor, fx

from streamline.infer.torch_backend.processors import Captured, Processor

__all__ = ["Engine", "Graphs", "batch_sizes"]

_log = structlog.get_logger("streamline.infer")

Outputs = tuple[Tensor, ...]
Graph = Callable[..., Outputs]


@dataclass(frozen=True, slots=True)
class Graphs:
    """A network, with its only head or none, and the heads of several models."""

    network: fx.GraphModule
    heads: tuple[fx.GraphModule, ...]
    outputs: tuple[str, ...]
    """Names of what the heads give, or the network if there are none."""


def batch_sizes(most: int) -> list[int]:
    """Return the powers of two below the largest batch, and that: none runs half empty.

    Examples
    --------
    >>> batch_sizes(12)
    [1, 2, 4, 8, 12]
    """
    return [*(1 << bit for bit in range((most - 1).bit_length())), most]


class Engine:
    """Runs batches, one head after the other.

    Parameters
    ----------
    graphs : Graphs
        Their weights are moved to the device.
    processor : Processor
    shape : (n, h, w, 3)
        Of the largest batch of frames.

    Raises
    ------
    RuntimeError
        If the device has no room for them.
    """

    def __init__(
        self, graphs: Graphs, processor: Processor, shape: tuple[int, int, int, int]
    ) -> None:
        self.outputs = graphs.outputs
        self._processor = processor
        self._most = shape[0]
        """Frames that are run at once."""

        for module in (graphs.network, *graphs.heads):
            module.to(processor.device)
        self._network: Graph = graphs.network
        self._heads: Sequence[Graph] = graphs.heads
        if processor.fixed:
            with torch.inference_mode(), processor.computing():
                self._fix(shape)

    def _fix(self, shape: tuple[int, int, int, int]) -> None:
        frames = torch.zeros(shape, dtype=torch.uint8, device=self._processor.device)
        self._network = _fixed(self._network, [frames], self._processor)
        if self._heads:
            # Heads run one after the other, and so share their input.
            features = [torch.zeros_like(rows) for rows in self._network(frames)]
            self._heads = [_fixed(head, features, self._processor) for head in self._heads]

    def run(self, frames: Tensor, ends: Sequence[int]) -> Iterator[Outputs | None]:
        """Run a batch, within `Processor.computing`.

        Parameters
        ----------
        frames : tensor of shape (n, h, w, 3)
            On the device, in the order of the heads that judge them.
        ends : sequence of int
            Where the frames of each head end.

        Yields
        ------
        tuple of tensors, or None
            What each head gives, or the network if there are none, to be read before the next;
            None for a head without frames.
        """
        found = self._in_parts(self._network, [frames])
        if not self._heads:
            yield found
            return
        for head, (first, end) in zip(self._heads, pairwise([0, *ends]), strict=False):
            rows = [layer[first:end] for layer in found]
            yield self._in_parts(head, rows) if first < end else None

    def _in_parts(self, graph: Graph, rows: Sequence[Tensor]) -> Outputs:
        count = len(rows[0])
        if count <= self._most:
            return graph(*rows)
        parts = []
        for first in range(0, count, self._most):
            given = graph(*(one[first : first + self._most] for one in rows))
            # The next part's results may come to lie in the same place.
            parts.append([one.clone() for one in given])
        return tuple(torch.cat(same) for same in zip(*parts, strict=True))

    def save_memory(self, count: int) -> bool:
        """Run half as many frames at once from now on; False if a batch of *count* is but one."""
        self._processor.free()
        if min(count, self._most) < 2:
            return False
        self._most = min(count, self._most) // 2
        _log.warning("out of memory on the device: smaller batches from now on", most=self._most)
        return True


class _FixedSizes:
    """A graph that always works on one of some numbers of rows.

    What lies behind the rows that are given is computed too, and nobody reads it.
    """

    def __init__(self, inputs: Sequence[Tensor], captured: dict[int, Captured]) -> None:
        self._inputs = inputs
        self._captured = captured

    def __call__(self, *rows: Tensor) -> Outputs:
        count = len(rows[0])
        size = min(size for size in self._captured if size >= count)
        for place, given in zip(self._inputs, rows, strict=True):
            place[:count].copy_(given)
        replay, outputs = self._captured[size]
        replay()
        return tuple(one[:count] for one in outputs)


_NO_CAPTURE: Final = "CUDA graphs can't be captured here: each kernel is launched by itself"


def _fixed(graph: Graph, inputs: Sequence[Tensor], processor: Processor) -> Graph:
    """Capture a graph for all sizes, the largest first: the others fit in its memory."""
    captured: dict[int, Captured] = {}
    try:
        for size in reversed(batch_sizes(len(inputs[0]))):
            rows = [one[:size] for one in inputs]
            captured[size] = processor.capture(lambda rows=rows: graph(*rows))  # type: ignore[misc]
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as exc:
        _log.warning(_NO_CAPTURE, why=str(exc).strip().splitlines()[0])
        return graph
    return _FixedSizes(inputs, captured)
