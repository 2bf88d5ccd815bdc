"""The manifest of a model directory: read without trust, written with hashes."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from streamline.clock import wall_ns

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "BackboneEntry",
    "CalibrationEntry",
    "InputEntry",
    "LayerEntry",
    "Manifest",
    "ScoresEntry",
    "TensorsEntry",
    "decode_manifest",
    "digest_of",
    "encode_manifest",
    "now",
]

FORMAT = "streamline-model"
FORMAT_VERSION = 1

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[\w.\-]+$")]
Text = Annotated[str, msgspec.Meta(max_length=4096)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Side = Annotated[int, msgspec.Meta(ge=1, le=4096)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1 << 24)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Level = Annotated[float, msgspec.Meta(ge=0)]


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the manifest; keys it doesn't know are errors."""


class BackboneEntry(_Entry, frozen=True):
    """See `BackboneId`."""

    name: Name
    precision: Name
    sha256: Digest


class InputEntry(_Entry, frozen=True):
    """Size of a frame, px."""

    height: Side
    width: Side


class LayerEntry(_Entry, frozen=True):
    """See `FittedLayer`."""

    channels: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
    height: Side
    width: Side
    rank: Count
    singular_values: Count
    retained: Share


Layers = Annotated[dict[Name, LayerEntry], msgspec.Meta(min_length=1, max_length=64)]


class ScoresEntry(_Entry, frozen=True):
    """Summary of the held-out scores, for people to read."""

    min: Level
    median: Level
    max: Level


class CalibrationEntry(_Entry, frozen=True):
    """See `Calibration`."""

    alpha: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    threshold: Level
    frames: Count
    effective_frames: Annotated[float, msgspec.Meta(ge=1)]
    blocks: Count
    gap: Annotated[int, msgspec.Meta(ge=0)]
    scores: ScoresEntry


class TensorsEntry(_Entry, frozen=True):
    """The file beside the manifest."""

    bytes: Annotated[int, msgspec.Meta(ge=1, le=1 << 36)]
    sha256: Digest


class Manifest(_Entry, frozen=True):
    """All of ``manifest.json``."""

    format: Literal["streamline-model"]
    version: Literal[1]
    kind: Literal["fre"]
    streamline: Text
    created: Text
    source: Text
    backbone: BackboneEntry
    preprocessing: Text
    input: InputEntry
    score_layers: Layers
    map_layers: Layers
    fusion: Literal["geometric-mean"]
    retain: Share
    calibration: CalibrationEntry
    tensors: TensorsEntry
    digest: Digest | Literal[""] = ""


class _Header(msgspec.Struct):
    """What every version of the manifest has; all else is ignored."""

    format: str = ""
    version: int = 0
    kind: str = ""


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
    except (msgspec.DecodeError, RecursionError) as exc:
        msg = "is no Streamline model: its manifest.json can't be read; fit it again"
        raise ValueError(msg) from exc
    _check_header(header)
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as exc:
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
    if header.kind != "fre":
        msg = f"is of kind {header.kind!r}, this version of Streamline runs 'fre'; fit it again"
        raise ValueError(msg)


def digest_of(manifest: Manifest, /) -> str:
    """SHA-256 over all the manifest says, its own digest apart, and so over the tensors too."""
    bare = msgspec.structs.replace(manifest, digest="")
    return hashlib.sha256(msgspec.json.encode(bare, order="sorted")).hexdigest()


def now() -> str:
    """Wall time for the record: UTC, ISO 8601, whole seconds."""
    return datetime.fromtimestamp(wall_ns() // 1_000_000_000, UTC).isoformat()
