"""The seam between the line and a device: a backend is three functions and one table entry.

Only the chosen backend's module is imported, so a line on OpenVINO never loads another
library.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, NamedTuple, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone
from streamline.errors import ConfigError
from streamline.model import BackboneId, Model, network_of

__all__ = [
    "Compute",
    "Extractor",
    "Features",
    "Mapper",
    "Maps",
    "Network",
    "OnDone",
    "Requests",
    "Scorer",
    "Scores",
    "map_network",
    "open_extractor",
    "open_mapper",
    "open_scorer",
    "score_network",
]

Result_co = TypeVar("Result_co", covariant=True)
OnDone = Callable[[int], None]
"""Called with the slot when its batch is finished or has failed, from a thread of the backend."""

Scores = npt.NDArray[np.float32]
"""Of a batch, shape ``(n,)``: fused feature reconstruction error, >= 0."""

Maps = npt.NDArray[np.float16]
"""Of a batch, shape ``(n, mh, mw)``: fused mean square error at each place, >= 0."""

Features = Mapping[str, npt.NDArray[np.float32]]
"""Features of a batch by layer, each of shape ``(n, c * h * w)``, channels first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """What a graph runs on, and how."""

    backend: str = "openvino"
    """Key of the table of backends."""

    device: str = "CPU"
    """As the backend names it."""

    precision: Literal["auto", "f32", "bf16"] = "auto"
    """Arithmetic of what is not quantised; auto: bf16 where the device has it, else f32."""

    max_batch: int = 8
    """Most frames judged together."""

    slots: int = 0
    """Batches under way at once; 0: what the device keeps busy, and one to fill meanwhile."""

    hint: Literal["throughput", "latency"] = "throughput"
    """latency: all threads work on one batch; throughput: several batches side by side."""

    streams: int | None = None
    """Batches the device works on side by side; None: by `hint`."""

    threads: int | None = None
    """Threads of the device; None: one per core."""


class Requests(Protocol[Result_co]):
    """A graph compiled for a device, with room for several batches at once.

    A slot goes round `input` (fill the first n) → `start` → `on_done` → `result` → `input`.
    Different slots may be used from different threads; one slot by one thread at a time.

    Several models on one network have a head each; the frames of a batch lie in the order of
    the heads that judge them.
    """

    @property
    def height(self) -> int:
        """Rows of a frame, px."""
        ...

    @property
    def width(self) -> int:
        """Columns of a frame, px."""
        ...

    @property
    def max_batch(self) -> int:
        """Most frames in a batch."""
        ...

    @property
    def slots(self) -> int:
        """Batches that may be under way at once."""
        ...

    def input(self, slot: int, /) -> npt.NDArray[np.uint8]:
        """Return the slot's buffer, shape ``(max_batch, height, width, 3)``, RGB, to write to."""
        ...

    def start(self, slot: int, /, *counts: int) -> None:
        """Run the first frames of the buffer, which must not change until `on_done`.

        Parameters
        ----------
        *counts : int
            How many of them are for each head, in their order; heads left out get none.
        """
        ...

    def result(self, slot: int, /, *, head: int = 0) -> Result_co:
        """Return what a head gave for its frames of the slot's last batch, in fresh arrays.

        Only for a head that had frames.

        Raises
        ------
        InferenceError
            If the device failed on it; other heads' results may be there all the same.
        """
        ...

    def close(self) -> None:
        """Wait for what is under way and release the device."""
        ...


Scorer = Requests[Scores]
"""Scores of one model, or of several on one network, compiled for a device."""

Mapper = Requests[Maps]
"""Maps of one model, or of several on one network, compiled for a device."""

Extractor = Requests[Features]
"""A backbone compiled for a device."""


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


class _Backend(Protocol):
    """The functions that a backend's module has."""

    def open_scorer(
        self, models: Sequence[Model], net: Backbone, compute: Compute, *, on_done: OnDone
    ) -> Scorer: ...

    def open_mapper(
        self, models: Sequence[Model], net: Backbone, compute: Compute, *, on_done: OnDone
    ) -> Mapper: ...

    def open_extractor(
        self, net: Backbone, layers: Sequence[str], compute: Compute, *, on_done: OnDone
    ) -> Extractor: ...


_MODULES = {"openvino": "streamline.infer.openvino_backend"}


def score_network(model: Model) -> Network:
    """Return what the model's score hangs on."""
    return _network(model, model.detector.score_layers)


def map_network(model: Model) -> Network:
    """Return what the model's map hangs on."""
    return _network(model, model.detector.map_layers)


def _network(model: Model, layers: Iterable[str]) -> Network:
    return Network(model.backbone, (model.height, model.width), tuple(sorted(layers)))


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
    return _load(compute.backend).open_mapper(models, net, compute, on_done=on_done)


def open_extractor(
    net: Backbone, layers: Sequence[str], compute: Compute, *, on_done: OnDone
) -> Extractor:
    """Compile a backbone for a device, to give the features of the named layers.

    Raises
    ------
    ConfigError
        If the backend or the device is not there, or the backbone has no such layer.
    """
    unknown = sorted(set(layers) - set(net.layers))
    if unknown:
        msg = f"{net.name} has no layer {unknown[0]!r}; it has {', '.join(net.layers)}"
        raise ConfigError(msg)
    return _load(compute.backend).open_extractor(net, layers, compute, on_done=on_done)


def _backbone_of(models: Sequence[Model], of: Callable[[Model], Network]) -> Backbone:
    networks = {of(model) for model in models}
    if len(networks) != 1:
        msg = f"models opened together must hang on one network, not on {networks}"
        raise ValueError(msg)
    return network_of(models[0])


def _load(name: str) -> _Backend:
    if name not in _MODULES:
        msg = f"there is no inference backend {name!r}; there are: {', '.join(_MODULES)}"
        raise ConfigError(msg)
    try:
        return cast("_Backend", import_module(_MODULES[name]))
    except ModuleNotFoundError as exc:
        if exc.name != name:
            raise
        msg = f"backend {name!r} is not installed; run: pip install {name}"
        raise ConfigError(msg) from exc
