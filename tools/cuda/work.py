"""What a model asks of a device for each frame, operation by operation: the roofline under it.

S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for
multicore architectures", CACM 52 (2009): an operation takes at least its arithmetic over the
device's rate, and at least its bytes over the memory's; the longer time is what is attainable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import openvino as ov
import torch
from torch import Tensor, fx
from torch.utils.flop_counter import FlopCounterMode
from typing_extensions import override

from streamline.infer import Precision, score_network
from streamline.infer.graphs import exact_score_head, joined_graph
from streamline.infer.torch_backend.translate import translate
from streamline.model import Model, network_of
from tools.cuda.ceiling import Ceiling

__all__ = ["Attainable", "Operation", "attainable", "operations_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One step of a model."""

    flops: float
    """For each frame; likewise `moved`."""

    moved: float
    """Bytes of features that are read and written."""

    weights: float
    """Bytes that are read once for a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attainable:
    """What a device could reach at best with a batch."""

    fps: float
    by_arithmetic: float
    """Share of the time in which its arithmetic is the bound; memory is in the rest."""


def operations_of(model: Model, precision: Precision) -> list[Operation]:
    """Take down what each operation of a model's score does, on the CPU with one frame.

    Parameters
    ----------
    precision : {'f32', 'bf16', 'f16'}
        Of the arithmetic, by which features and weights are wide or not.
    """
    # Half precision is as wide either way, and a CPU is quicker with this one.
    dtype = torch.float32 if precision == "f32" else torch.bfloat16
    layers = score_network(model).layers
    graph = joined_graph(ov.Core(), network_of(model), layers, exact_score_head, model.fre)
    watched = _Watched(translate(graph, dtype))
    with torch.inference_mode():
        watched.run(torch.zeros(1, model.height, model.width, 3, dtype=torch.uint8))
    return watched.operations


class _Watched(fx.Interpreter):
    """Runs a graph, and takes down what each operation does."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.operations: list[Operation] = []

    @override
    def run_node(self, n: fx.Node) -> Any:
        if n.op not in {"call_function", "call_method"}:
            return super().run_node(n)
        with FlopCounterMode(display=False) as counter:
            result = super().run_node(n)
        given = {one: self.env[one] for one in n.all_input_nodes}
        weights = [value for one, value in given.items() if one.op == "get_attr"]
        features = [value for one, value in given.items() if one.op != "get_attr"]
        if not any(_same_memory(result, one) for one in features):
            self.operations.append(
                Operation(
                    flops=float(counter.get_total_flops()),
                    moved=float(sum(map(_size, [*features, result]))),
                    weights=float(sum(map(_size, weights))),
                )
            )
        return result


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def attainable(operations: Sequence[Operation], ceiling: Ceiling, *, batch: int) -> Attainable:
    """Add up the least time that the operations of a batch take, one after the other."""
    pairs = [
        (
            batch * one.flops / ceiling.flops,
            (batch * one.moved + one.weights) / ceiling.bandwidth,
        )
        for one in operations
    ]
    seconds = sum(map(max, pairs))
    bound = sum(arithmetic for arithmetic, memory in pairs if arithmetic >= memory)
    return Attainable(fps=batch / seconds, by_arithmetic=bound / seconds)
