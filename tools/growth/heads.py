"""Heads of FRE by themselves, beside the network: processor time by layers, and by directions."""

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import openvino as ov

from streamline.backbone import default_layers, get
from streamline.bench.apart import Apart
from streamline.bench.model import Tell
from streamline.bench.processor import OtherWork
from streamline.infer import Compute, settle
from streamline.infer.graphs import feature_graph, head_graph, score_head
from streamline.infer.openvino_backend.device import compile_graph
from tests.support.models import untrained
from tools.growth.figures import Growth, Row

__all__ = ["grow_heads", "grow_ranks"]

_NETWORK: Final = "efficientnet_lite0"
_LAYERS: Final = ("block5", "block4", "block3", "block2")
_RANK: Final = 200
_BATCH: Final = 8
_TRIAL_S: Final = 0.5
_TRIALS: Final = 3

Inputs = Mapping[str, npt.NDArray[np.float32]] | Sequence[npt.NDArray[np.uint8]]


class Cost(NamedTuple):
    """What a head and the network before it cost."""

    features: int
    head_ms: float
    """Processor time of a frame; likewise `network_ms`."""

    network_ms: float
    others: float
    """Share of the processors that other work took."""

    @property
    def more(self) -> Mapping[str, float]:
        """All of it, for a table."""
        return {
            "features": self.features,
            "head CPU ms": self.head_ms,
            "network CPU ms": self.network_ms,
        }


def grow_heads(*, limit: float, tell: Tell) -> Growth:
    """Add a layer at a time."""
    tell("heads of 1 to 4 layers")
    picks = [(_LAYERS[: n + 1], _RANK) for n in range(len(_LAYERS))]
    with Apart() as process:
        costs = process.call(costs_of, picks)
    rows = [
        Row(
            size=n,
            each=1e6 * cost.head_ms / cost.features,
            others=cost.others,
            more=cost.more,
        )
        for n, cost in enumerate(costs, start=1)
    ]
    return Growth(
        what=f"layers that make the score, {_RANK} directions of each: {', '.join(_LAYERS)}",
        size="layers",
        each="CPU µs of 1000 features",
        rows=rows,
        limit=limit,
    )


def grow_ranks(ranks: Sequence[int], *, limit: float, tell: Tell) -> Growth:
    """Take more directions of the layers that make the default score."""
    tell(f"heads of {ranks[0]} to {ranks[-1]} directions")
    layers, _ = default_layers(_NETWORK)
    with Apart() as process:
        costs = process.call(costs_of, [(layers, rank) for rank in ranks])
    rows = [
        Row(size=rank, each=1e3 * cost.head_ms / rank, others=cost.others, more=cost.more)
        for rank, cost in zip(ranks, costs, strict=True)
    ]
    return Growth(
        what=f"directions of each layer: {', '.join(layers)}",
        size="directions",
        each="CPU µs of a direction",
        rows=rows,
        limit=limit,
    )


def costs_of(
    picks: Sequence[tuple[Sequence[str], int]], *, trial_s: float = _TRIAL_S
) -> list[Cost]:
    """Measure heads of random directions, with frames and features of noise; for a process apart.

    On one thread: with more they would wait for one another, which is no part of the work.
    """
    net = get(_NETWORK, "int8")
    compute = settle(Compute(hint="latency", threads=1, max_batch=_BATCH))
    core = ov.Core()
    noise = np.random.default_rng(0)
    costs = []
    for layers, rank in picks:
        model = untrained(net, layers, rank=rank)
        network = feature_graph(core, net, layers)
        head = head_graph(net, layers, score_head, model.fre)
        sizes = {name: len(fit.subspace.mean) for name, fit in model.fre.score_layers.items()}
        features = {
            name: noise.standard_normal((_BATCH, size), np.float32) for name, size in sizes.items()
        }
        frames = noise.integers(0, 256, (_BATCH, net.height, net.width, 3), np.uint8)
        with OtherWork() as others:
            head_ms = _cpu_ms(compile_graph(core, head, compute, kept=None), features, trial_s)
            network_ms = _cpu_ms(
                compile_graph(core, network, compute, kept=None), [frames], trial_s
            )
        cost = Cost(sum(sizes.values()), head_ms, network_ms, others.share)
        costs.append(cost)
    return costs


def _cpu_ms(compiled: ov.CompiledModel, inputs: Inputs, trial_s: float) -> float:
    """Return the processor time of a frame, in the median of some trials."""
    request = compiled.create_infer_request()
    request.infer(inputs)
    return median(_trial_ms(request, inputs, trial_s) for _ in range(_TRIALS))


def _trial_ms(request: ov.InferRequest, inputs: Inputs, trial_s: float) -> float:
    batches, end_s, cpu_s = 0, time.perf_counter() + trial_s, time.process_time()
    while batches == 0 or time.perf_counter() < end_s:
        request.infer(inputs, share_inputs=True)
        batches += 1
    return 1e3 * (time.process_time() - cpu_s) / (batches * _BATCH)
