"""Networks of torchvision and timm, exported once to OpenVINO IR and kept for the next time.

Only an export loads torch: a network that was exported before is found by what it was made
from, and read like the shipped one.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module, metadata
from pathlib import Path
from typing import Final, Protocol, cast

from streamline.backbone.catalogue import Network
from streamline.backbone.folder import (
    MANIFEST,
    Backbone,
    Layer,
    Quantisation,
    read_folder,
    require_size,
)
from streamline.backbone.weights import digest_of, packaged_weights, require_weights
from streamline.caches import cache_folder, drop_oldest
from streamline.errors import InputError, ModelError
from streamline.extras import needs_extra
from streamline.progress import Progress

__all__ = ["PRECISIONS", "ExportRequest", "find_export", "kept_exports", "load_zoo"]

PRECISIONS: Final = ("int8", "fp16", "f32")
"""Of the weights that an export can store."""

_EXPORT_VERSION: Final = 1
"""Changes with what the same versions of the libraries make of the same weights."""

_MOST_BYTES: Final = 4 << 30
"""What all exports together may take, B; the least recently used go first."""

_CURE: Final = "delete its folder, it will be made again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """Which part of which network is wanted, and how."""

    network: Network
    layers: tuple[str, ...]
    """By their short names, or nodes of the graph."""

    precision: str
    size: int
    """Height and width of the input, px."""

    weights: Path
    """A file or folder of trained weights."""


class Zoo(Protocol):
    """What `streamline.zoo` does; see there."""

    def export_network(
        self, request: ExportRequest, folder: Path, /, *, progress: Progress
    ) -> None: ...

    def cut_export(self, whole: Backbone, layers: Sequence[str], folder: Path, /) -> None: ...

    def layers_served(self, network: Network, weights: Path, /) -> tuple[str, ...]: ...

    def fetch_weights(self, network: Network, /) -> Path: ...

    def fetched_weights(self, network: Network, /) -> Path | None: ...

    def layer_table(self, network: Network, size: int, /) -> Mapping[str, Layer]: ...

    def write_untrained(self, network: Network, file: Path, /) -> None: ...


def load_zoo() -> Zoo:
    """Import what needs torch, now.

    Raises
    ------
    ModelError
        If it is not installed.
    """
    what = "making networks and layers other than the shipped ones"
    with needs_extra("torch", ["torch", "torchvision", "timm"], what, error=ModelError):
        return cast("Zoo", import_module("streamline.zoo"))


def find_export(
    network: Network,
    layers: Sequence[str],
    *,
    precision: str,
    size: int,
    weights: Path | None,
    progress: Progress,
) -> Backbone:
    """Return an exported network, made now if it isn't there yet.

    Parameters
    ----------
    layers : sequence of str
        Its outputs; the network is cut after the last of them.
    weights : Path, optional
        None: those of an installed package, or else of the library's hub.

    Raises
    ------
    ModelError
        If there is no such layer, torch or nncf is missing, or the weights do not fit.
    InputError
        If the weights are not there.
    """
    require_size(size)
    if weights is not None:
        require_weights(weights)
    request = ExportRequest(
        network=network,
        # However they are asked for, it is the same network; nodes come after short names.
        layers=(
            *(layer for layer in network.layers if layer in layers),
            *sorted(set(layers) - set(network.layers)),
        ),
        precision=precision,
        size=size,
        weights=weights or packaged_weights(network) or load_zoo().fetch_weights(network),
    )
    return _found(request, progress)


def _found(request: ExportRequest, progress: Progress) -> Backbone:
    folder = kept_exports() / f"{request.network.name}-{_digest(request)}"
    return _kept(folder, request.precision) or _made(request, folder, progress)


def kept_exports() -> Path:
    """Folder of all exports of this user."""
    return cache_folder("backbones")


def _digest(request: ExportRequest) -> str:
    """Name all that an export is made from, versions of the tools included."""
    eight = request.precision == "int8"
    tools = ("torch", request.network.library, "openvino", *(["nncf"] if eight else []))
    made_from = (
        str(_EXPORT_VERSION),
        request.network.name,
        repr(request.layers),
        request.precision,
        str(request.size),
        digest_of(request.weights),
        *map(_version, tools),
        *([repr(Quantisation())] if eight else []),
    )
    return hashlib.sha256("\n".join(made_from).encode()).hexdigest()[:24]


def _version(tool: str) -> str:
    try:
        return metadata.version(tool)
    except metadata.PackageNotFoundError:
        return ""


def _kept(folder: Path, precision: str) -> Backbone | None:
    """Read an export if it is whole; what is not is removed."""
    if not (folder / MANIFEST).is_file():
        return None
    try:
        net = read_folder(folder, precision, cure=_CURE)
    except ModelError:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    os.utime(folder)
    return net


def _made(request: ExportRequest, folder: Path, progress: Progress) -> Backbone:
    zoo = load_zoo()
    whole = _whole(request, zoo, progress)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=folder.parent))
        try:
            if whole is None:
                zoo.export_network(request, scratch, progress=progress)
            else:
                zoo.cut_export(whole, request.layers, scratch)
            _install(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        drop_oldest(folder, _MOST_BYTES)
    except OSError as exc:
        msg = f"{folder.parent}: the network can't be stored there ({exc.strerror or exc})"
        raise InputError(msg) from exc
    return read_folder(folder, request.precision, cure=_CURE)


def _whole(request: ExportRequest, zoo: Zoo, progress: Progress) -> Backbone | None:
    """Find the network that an 8-bit one is cut from: quantised once, whatever layers are used.

    Nodes of the graph that have no short name are quantised with the cut that ends there.
    """
    if request.precision != "int8":
        return None
    every = zoo.layers_served(request.network, request.weights)
    if not set(request.layers) < set(every):
        return None
    return _found(replace(request, layers=every), progress)


def _install(made: Path, folder: Path) -> None:
    try:
        made.rename(folder)
    except OSError:
        # Another process made the same one meanwhile.
        if not (folder / MANIFEST).is_file():
            raise
