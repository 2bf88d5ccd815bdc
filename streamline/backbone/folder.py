"""A network on disk: OpenVINO IR beside a manifest that says what it is, with every hash."""

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import msgspec

from streamline.backbone.taps import Tap, parse_tap
from streamline.errors import ModelError
from streamline.regular import open_regular

__all__ = [
    "MANIFEST",
    "SIZES",
    "SIZE_STEP",
    "Backbone",
    "Layer",
    "Quantisation",
    "at_size",
    "copy_folder",
    "precisions_in",
    "read_files",
    "read_folder",
    "require_size",
]

MANIFEST: Final = "manifest.json"

SIZE_STEP: Final = 32
"""Input sizes are multiples of this, px: the largest stride, so that every layer divides evenly
and padding is the same numbers at every size."""

SIZES: Final = range(SIZE_STEP, 1024 + 1, SIZE_STEP)
"""Heights and widths that an input may have, px."""

_MANIFEST_BYTES = 1 << 20
"""Of a manifest no more is read, for it may be anything."""


class Quantisation(msgspec.Struct, frozen=True):
    """How a network came to 8 bits; the defaults are how every network does now."""

    frames: Literal["rendered"] = "rendered"
    """What the ranges of the activations were taken from; see `streamline.zoo.pictures`."""

    count: int = 128
    """How many of them."""

    seed: int = 20
    """Of their generator."""

    weight_bits: Literal[7] = 7
    """Of the weights' 8 bits, in use."""

    float_convolutions: int = 2
    """So many of the first ones are not quantised."""


class Layer(msgspec.Struct, frozen=True):
    """Where features can be taken."""

    channels: int
    height: int
    width: int
    stride: int
    """Pixels of the input per feature, px."""


class _Input(msgspec.Struct, frozen=True):
    height: int
    width: int


class _Manifest(msgspec.Struct, frozen=True):
    name: str
    input: _Input
    layers: dict[str, Layer]
    sha256: dict[str, str]
    quantisation: Quantisation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """One network in one precision: uint8 RGB frames ``(n, height, width, 3)`` in, features out."""

    name: str
    precision: str
    """Of the stored weights and, for int8, of the arithmetic."""

    xml: Path
    """OpenVINO IR; its weights and its manifest lie beside it. It may be stored for another
    input size, and is then reshaped when it is read."""

    layers: Mapping[str, Layer]
    """Outputs by name, each float32 ``(n, channels, height, width)``, shallow to deep."""

    sha256: str
    """Names this very network at this size: of the hashes of graph and weights."""

    height: int
    width: int
    """Input size, px."""

    quantisation: Quantisation | None = None
    """None: it is not in 8 bits."""

    def layer(self, name: str, /) -> Layer:
        """Tell shape and stride of features.

        Parameters
        ----------
        name : str
            One of `layers`, or one of them pooled; see `streamline.backbone.parse_tap`.

        Raises
        ------
        ModelError
            If there is no such layer, or the squares don't divide it evenly.
        """
        tap = parse_tap(name)
        if tap.layer not in self.layers:
            msg = f"{self.name} has no layer {tap.layer!r}; it has {', '.join(self.layers)}"
            raise ModelError(msg)
        return _pooled(self.layers[tap.layer], tap)


def _pooled(whole: Layer, tap: Tap) -> Layer:
    if whole.height % tap.pooling or whole.width % tap.pooling:
        msg = (
            f"{tap.layer} has {whole.height} rows and {whole.width} columns here, which squares of "
            f"{tap.pooling} by {tap.pooling} don't divide evenly; average over others"
        )
        raise ModelError(msg)
    return Layer(
        channels=whole.channels,
        height=whole.height // tap.pooling,
        width=whole.width // tap.pooling,
        stride=whole.stride * tap.pooling,
    )


def precisions_in(folder: Path, /) -> list[str]:
    """Tell in which precisions a network lies in its folder."""
    return sorted(Path(file).stem for file in _manifest_of(folder).sha256 if file.endswith(".xml"))


def read_folder(folder: Path, precision: str, /, *, cure: str) -> Backbone:
    """Read a network whose files are intact.

    Parameters
    ----------
    cure : str
        What to do about a damaged file, for the end of the sentence.

    Raises
    ------
    ModelError
        If a file is missing, or not the one that the manifest was written for.
    """
    manifest = _manifest_of(folder)
    files = [f"{precision}.xml", f"{precision}.bin"]
    for file in files:
        _require_intact(folder / file, manifest.sha256.get(file, ""), cure)
    return Backbone(
        name=manifest.name,
        precision=precision,
        xml=folder / files[0],
        layers=manifest.layers,
        sha256=_named(manifest.sha256[file] for file in files),
        height=manifest.input.height,
        width=manifest.input.width,
        quantisation=manifest.quantisation if precision == "int8" else None,
    )


def read_files(net: Backbone, /) -> tuple[bytes, bytes]:
    """Read a network's graph and weights, and check that what was read is what its hash names.

    Returns
    -------
    graph : bytes
        OpenVINO IR, XML.
    weights : bytes

    Raises
    ------
    ModelError
        If they can't be read, or are not this network's any more.
    """
    graph, weights = (_content(path) for path in (net.xml, net.xml.with_suffix(".bin")))
    whole = _named(hashlib.sha256(part).hexdigest() for part in (graph, weights))
    if net.sha256 not in {whole, _named_at(whole, net.height)}:
        msg = (
            f"{net.xml.parent}: the network was replaced or damaged since it was looked at; start "
            "again, or restore a copy"
        )
        raise ModelError(msg)
    return graph, weights


def _content(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as exc:
        msg = f"{path}: can't be read ({exc.strerror}); restore a copy or fit the model again"
        raise ModelError(msg) from exc


def _named(hashes: Iterable[str]) -> str:
    """Name a network by the hashes of graph and weights."""
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _named_at(sha256: str, size: int) -> str:
    """Name a network at another size: a model for that must not pass for one of this."""
    return hashlib.sha256(f"{sha256} {size} x {size}".encode()).hexdigest()


def copy_folder(net: Backbone, folder: Path, /) -> None:
    """Copy a network's graph, weights and manifest to a folder that is made.

    Raises
    ------
    OSError
        If they can't be read or written.
    """
    folder.mkdir()
    for file in (net.xml, net.xml.with_suffix(".bin"), net.xml.with_name(MANIFEST)):
        shutil.copyfile(file, folder / file.name)


def _manifest_of(folder: Path) -> _Manifest:
    try:
        with open_regular(folder / MANIFEST) as file:
            return msgspec.json.decode(file.read(_MANIFEST_BYTES), type=_Manifest)
    except (OSError, RecursionError, msgspec.DecodeError, UnicodeDecodeError) as exc:
        msg = f"{folder} holds no network: its {MANIFEST} can't be read"
        raise ModelError(msg) from exc


def _require_intact(path: Path, sha256: str, cure: str) -> None:
    try:
        with open_regular(path) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        msg = f"{path}: can't be read ({exc.strerror}); {cure}"
        raise ModelError(msg) from exc
    if found != sha256:
        msg = f"{path}: not the file that was made for it (SHA-256 differs); {cure}"
        raise ModelError(msg)


def at_size(net: Backbone, size: int, /) -> Backbone:
    """Return the same network for square frames of another size, px.

    Raises
    ------
    ModelError
        If the size is no multiple of 32 in [32, 1024].
    """
    require_size(size)
    layers = {
        name: Layer(
            channels=layer.channels,
            height=size // layer.stride,
            width=size // layer.stride,
            stride=layer.stride,
        )
        for name, layer in net.layers.items()
    }
    return replace(net, layers=layers, sha256=_named_at(net.sha256, size), height=size, width=size)


def require_size(size: int, /) -> None:
    """Check an input size, px.

    Raises
    ------
    ModelError
        If it is no multiple of 32 in [32, 1024].
    """
    if size not in SIZES:
        msg = (
            f"the input size must be a multiple of {SIZE_STEP} from {min(SIZES)} to {max(SIZES)} "
            f"px, not {size}"
        )
        raise ModelError(msg)
