"""The seam between the line and a device: a backend is five functions and one table entry.

Only the chosen backend's module is imported, so a line on OpenVINO never loads another
library.
"""

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Literal, NamedTuple, Protocol, cast

from streamline.backbone import Backbone
from streamline.errors import ConfigError
from streamline.extras import needs_extra
from streamline.infer.protocol import Compute, Extractor, Mapper, OnDone, Precision, Scorer
from streamline.infer.sgfr import JudgedFeatures, maps_by, scores_by
from streamline.model import BackboneId, Model, SgfrDetector, network_of
from streamline.sgfr import Judge

__all__ = [
    "Network",
    "map_network",
    "open_extractor",
    "open_mapper",
    "open_scorer",
    "precisions",
    "score_network",
    "settle",
    "threshold_doubt",
]


class Network(NamedTuple):
    """What models must have in common to be opened together.

    The layers too: an int8 backbone that is asked for others is fused otherwise and rounds
    otherwise, which moves a score by up to a percent, and thresholds are calibrated on the
    model's own layers.
    """

    backbone: BackboneId
    size: tuple[int, int]
    """Rows and columns of a frame, px."""

    layers: tuple[str, ...]
    """Sorted."""

    kind: Literal["fre", "sgfr"]
    """Of their detectors."""


class _Backend(Protocol):
    """The functions that a backend's module has."""

    def settle(self, compute: Compute, *, stored: str = "int8") -> Compute: ...

    def open_scorer(
        self, models: Sequence[Model], net: Backbone, compute: Compute, *, on_done: OnDone
    ) -> Scorer: ...

    def open_mapper(
        self, models: Sequence[Model], net: Backbone, compute: Compute, *, on_done: OnDone
    ) -> Mapper: ...

    def open_extractor(
        self, net: Backbone, layers: Sequence[str], compute: Compute, *, on_done: OnDone
    ) -> Extractor: ...

    def precisions(self, compute: Compute) -> tuple[Precision, ...]: ...


_MODULES = {
    "openvino": "streamline.infer.openvino_backend",
    "torch": "streamline.infer.torch_backend",
}

"""What brings the libraries that may be missing."""


def score_network(model: Model) -> Network:
    """Return what the model's score hangs on."""
    return _network(model, model.detector.score_taps)


def map_network(model: Model) -> Network:
    """Return what the model's map hangs on."""
    return _network(model, model.detector.map_taps)


def _network(model: Model, layers: Iterable[str]) -> Network:
    return Network(
        model.backbone, (model.height, model.width), tuple(sorted(layers)), model.detector.kind
    )


def settle(compute: Compute, /, *, stored: str = "int8") -> Compute:
    """Say which device and which arithmetic will be used where that is left to be chosen.

    Parameters
    ----------
    stored : {'int8', 'fp16', 'f32'}
        What the network's weights are stored in. On a CPU `auto` is f32, so that scores are those
        of other processors, but for weights in fp16: bf16 where the processor has it. Elsewhere it
        is f16, and f32 for weights in f32.

    Returns
    -------
    Compute
        With the device that AUTO chooses, and a precision that is not `auto`.

    Raises
    ------
    ConfigError
        If the backend, the device or its arithmetic is not there.
    """
    return _load(compute.backend).settle(compute, stored=stored)


def threshold_doubt(model: Model, compute: Compute, /) -> str:
    """Say why a model's threshold may not be quite right here; nothing if there is no reason.

    Scores of another arithmetic differ a little from those that the threshold was read from.

    Raises
    ------
    ConfigError
        As `settle`.
    """
    fitted = model.calibration
    here = settle(compute, stored=model.backbone.precision)
    if not fitted.device or (fitted.device, fitted.arithmetic) == (here.device, here.precision):
        return ""
    return (
        f"the model's threshold was read from scores computed on {fitted.device} in "
        f"{fitted.arithmetic}, and here they are computed on {here.device} in {here.precision}, "
        "which moves them a little; fit it on this device for a threshold that is exact"
    )


def open_scorer(models: Sequence[Model], compute: Compute, *, on_done: OnDone) -> Scorer:
    """Compile the scores of models for a device.

    A single model's network and score are one graph.  Several models share one graph of the
    network, and each adds a small one with its head: memory grows by a head for each.

    Parameters
    ----------
    models : sequence of Model
        Of one `score_network`; their order is that of the heads.
    on_done : callable
        Told each slot whose batch is finished.

    Raises
    ------
    ModelError
        If a model was fitted on another build of its backbone.
    ConfigError
        If the backend or the device is not there.
    """
    net = _backbone_of(models, score_network)
    if any(isinstance(model.detector, SgfrDetector) for model in models):
        judges, extractor = _sgfr_parts(models, net, compute, maps=False)
        return JudgedFeatures(list(map(scores_by, judges)), extractor, on_done=on_done)
    return _load(compute.backend).open_scorer(models, net, compute, on_done=on_done)


def open_mapper(models: Sequence[Model], compute: Compute, *, on_done: OnDone) -> Mapper:
    """Compile the maps of models for a device.

    On a network of their own: a line needs maps of few frames only, and the scores must not
    change with the map's layers; see `Network`.

    Parameters
    ----------
    models : sequence of Model
        Of one `map_network`; their order is that of the heads.

    Raises
    ------
    ModelError, ConfigError
        As `open_scorer`.
    """
    net = _backbone_of(models, map_network)
    if any(isinstance(model.detector, SgfrDetector) for model in models):
        judges, extractor = _sgfr_parts(models, net, compute, maps=True)
        return JudgedFeatures(list(map(maps_by, judges)), extractor, on_done=on_done)
    return _load(compute.backend).open_mapper(models, net, compute, on_done=on_done)


def open_extractor(
    net: Backbone, layers: Sequence[str], compute: Compute, *, on_done: OnDone
) -> Extractor:
    """Compile a backbone for a device, to give the features of the named layers.

    Raises
    ------
    ConfigError
        If the backend or the device is not there.
    ModelError
        If the backbone has no such layer.
    """
    for layer in layers:
        net.layer(layer)  # For what it refuses.
    return _load(compute.backend).open_extractor(net, layers, compute, on_done=on_done)


def precisions(compute: Compute) -> tuple[Precision, ...]:
    """Return the kinds of arithmetic that the device has.

    Raises
    ------
    ConfigError
        If the backend or the device is not there.
    """
    return _load(compute.backend).precisions(compute)


def _sgfr_parts(
    models: Sequence[Model], net: Backbone, compute: Compute, *, maps: bool
) -> tuple[list[Judge], Callable[[OnDone], Extractor]]:
    """Open the banks of models of one network, and say how its extractor is opened."""
    judges = [
        model.detector.judge(size=(model.height, model.width), maps=maps)
        for model in models
        if isinstance(model.detector, SgfrDetector)
    ]
    layers = score_network(models[0]).layers
    return judges, lambda on_done: open_extractor(net, layers, compute, on_done=on_done)


def _backbone_of(models: Sequence[Model], of: Callable[[Model], Network]) -> Backbone:
    networks = {of(model) for model in models}
    if len(networks) != 1:
        msg = f"models opened together must hang on one network, not on {networks}"
        raise ValueError(msg)
    net, *_ = [network_of(model) for model in models]  # Each for what it refuses.
    return net


def _load(name: str) -> _Backend:
    if name not in _MODULES:
        msg = f"there is no inference backend {name!r}; there are: {', '.join(_MODULES)}"
        raise ConfigError(msg)
    with needs_extra("torch", ["torch"], f"backend {name!r}", error=ConfigError):
        return cast("_Backend", import_module(_MODULES[name]))
