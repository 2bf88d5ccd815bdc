"""The manifest of a model directory: read without trust, written with hashes."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from streamline.backbone import SIZE_STEP, SIZES
from streamline.clock import wall_ns
from streamline.mask import Mask
from streamline.model.entries import Count, Digest, Entry, Name, Polygons, Text
from streamline.model.fre import FreEntry
from streamline.model.sgfr import SgfrEntry

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "BackboneEntry",
    "InputEntry",
    "Manifest",
    "QuantisationEntry",
    "TensorsEntry",
    "decode_manifest",
    "digest_of",
    "encode_manifest",
    "now",
]

FORMAT = "streamline-model"
FORMAT_VERSION = 2
_KINDS = ("fre", "sgfr")
"""Tags of what `Manifest.detector` may be."""


class QuantisationEntry(Entry, frozen=True):
    """See `streamline.backbone.Quantisation`."""

    frames: Literal["rendered"]
    count: Count
    seed: Annotated[int, msgspec.Meta(ge=0)]
    weight_bits: Literal[7]
    float_convolutions: Annotated[int, msgspec.Meta(ge=0)]


# What is at its default is left out: the digests of models that lack it stay what they were.
class BackboneEntry(Entry, frozen=True, omit_defaults=True):
    """See `BackboneId`."""

    name: Name
    precision: Name
    sha256: Digest
    stored: bool
    """Whether it lies in the model's directory; if not, it comes with the package."""

    quantisation: QuantisationEntry | None = None
    """How it came to 8 bits."""


_InputSide = Annotated[int, msgspec.Meta(ge=min(SIZES), le=max(SIZES), multiple_of=SIZE_STEP)]


class InputEntry(Entry, frozen=True):
    """Size of a frame, px; see `streamline.backbone.require_size`."""

    height: _InputSide
    width: _InputSide


class TensorsEntry(Entry, frozen=True):
    """The file beside the manifest."""

    bytes: Annotated[int, msgspec.Meta(ge=1, le=1 << 36)]
    sha256: Digest


class Manifest(Entry, frozen=True):
    """All of ``manifest.json``."""

    format: Literal["streamline-model"]
    version: Literal[2]
    streamline: Text
    created: Text
    source: Text
    backbone: BackboneEntry
    preprocessing: Text
    input: InputEntry
    detector: FreEntry | SgfrEntry
    mask: Polygons
    distinct_frames: Annotated[float, msgspec.Meta(ge=1)]
    tensors: TensorsEntry
    digest: Digest | Literal[""] = ""

    def __post_init__(self) -> None:
        """Refuse what each part may say, and not all of them together."""
        Mask.for_judging(self.mask)
        for name, (_, rows, columns) in self.detector.taps():
            if rows > self.input.height or columns > self.input.width:
                msg = f"layer {name} is larger than a frame"
                raise ValueError(msg)


class _Kind(msgspec.Struct, frozen=True):
    kind: str = ""


class _Header(msgspec.Struct):
    """What every version of the manifest has; all else is ignored."""

    format: str = ""
    version: int = 0
    detector: _Kind = _Kind()


def encode_manifest(manifest: Manifest, /) -> bytes:
    """Turn into readable JSON, `digest` filled in."""
    complete = msgspec.structs.replace(manifest, digest=digest_of(manifest))
    return msgspec.json.format(msgspec.json.encode(complete), indent=2) + b"\n"


def decode_manifest(data: bytes, /) -> Manifest:
    """Read JSON that may be anything.

    Raises
    ------
    ValueError
        With the end of a sentence that starts with the model's path.
    """
    try:
        header = msgspec.json.decode(data, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        msg = "is no Streamline model: its manifest.json can't be read; fit it again"
        raise ValueError(msg) from exc
    _check_header(header)
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        msg = f"has a damaged manifest.json ({exc}); fit it again or restore a copy"
        raise ValueError(msg) from exc
    if manifest.digest != digest_of(manifest):
        msg = "has a manifest.json that was edited; fit it again or restore a copy"
        raise ValueError(msg)
    return manifest


def _check_header(header: _Header) -> None:
    if header.format != FORMAT:
        msg = "is no Streamline model: its manifest.json belongs to something else"
        raise ValueError(msg)
    if header.version != FORMAT_VERSION:
        age = "a newer" if header.version > FORMAT_VERSION else "another"
        msg = (
            f"was written by {age} version of Streamline (format {header.version}, this one reads "
            f"{FORMAT_VERSION}); update Streamline or fit it again"
        )
        raise ValueError(msg)
    kind = header.detector.kind
    if kind not in _KINDS:
        known = " and ".join(map(repr, _KINDS))
        msg = f"is of kind {kind!r}, this version of Streamline runs {known}; fit it again"
        raise ValueError(msg)


def digest_of(manifest: Manifest, /) -> str:
    """SHA-256 over all the manifest says, its own digest apart, and so over the tensors too."""
    bare = msgspec.structs.replace(manifest, digest="")
    return hashlib.sha256(msgspec.json.encode(bare, order="sorted")).hexdigest()


def now() -> str:
    """Wall time for the record: UTC, ISO 8601, whole seconds."""
    return datetime.fromtimestamp(wall_ns() // 1_000_000_000, UTC).isoformat()
