"""What batches run through: one graph for a model alone, one and a head each for several."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import openvino as ov

from streamline.backbone import Backbone
from streamline.infer.graphs import (
    Head,
    feature_graph,
    head_graph,
    joined_graph,
)
from streamline.infer.openvino_backend.cache import trusted_folder
from streamline.infer.openvino_backend.device import compile_graph, has_fixed_batch, settle
from streamline.infer.protocol import Compute
from streamline.model import Model

__all__ = ["Compiled", "compile_features", "compile_models"]


class Compiled(NamedTuple):
    """Graphs for a device."""

    network: ov.CompiledModel
    """From frames to features, or to the result of the only head."""

    heads: tuple[ov.CompiledModel, ...] = ()
    """From features to the result of each head; none where the network includes it."""

    fixed: bool = False
    """Whether they take full batches only."""


def compile_models(
    models: Sequence[Model],
    head: Head,
    net: Backbone,
    layers: Sequence[str],
    compute: Compute,
) -> Compiled:
    """Compile the heads of models that hang on the same layers of a backbone.

    A model alone is joined with the backbone to one graph, which is fastest.  Of several, and where
    a CPU computes the backbone in bf16, each adds a graph of its head's size, which it computes in
    f32; the score is the same but for the last bits of float32.

    Parameters
    ----------
    head : callable
        Their scores, or their maps.

    Raises
    ------
    ConfigError
        See `settle` and `compile_graph`.
    """
    core = ov.Core()
    compute = settle(compute, stored=net.precision)
    fixed = has_fixed_batch(compute)
    use = head.__name__
    # Of bf16 a score, the difference of large numbers, keeps too little: it would move by 1 % with
    # the batch that a frame is in.
    precise = replace(compute, precision="f32") if compute.device == "CPU" else compute
    if len(models) == 1 and precise == compute:
        (model,) = models
        graph = joined_graph(core, net, layers, head, model.fre)
        with _folder(compute, use, net.sha256, model.digest) as kept:
            return Compiled(compile_graph(core, graph, compute, kept=kept), fixed=fixed)
    heads = []
    for model in models:
        graph = head_graph(net, layers, head, model.fre)
        with _folder(compute, use, "alone", model.digest) as kept:
            heads.append(compile_graph(core, graph, precise, kept=kept))
    network = compile_features(net, layers, compute).network
    return Compiled(network, tuple(heads), fixed=fixed)


def compile_features(net: Backbone, layers: Sequence[str], compute: Compute) -> Compiled:
    """Compile the backbone, to give the features of these layers.

    Raises
    ------
    ConfigError
        See `compile_graph`.
    """
    core = ov.Core()
    compute = settle(compute, stored=net.precision)
    graph = feature_graph(core, net, layers)
    with _folder(compute, net.sha256, *layers) as kept:
        network = compile_graph(core, graph, compute, kept=kept)
    return Compiled(network, fixed=has_fixed_batch(compute))


def _folder(compute: Compute, *identity: str) -> AbstractContextManager[Path | None]:
    return trusted_folder(*identity) if compute.keep else nullcontext()
