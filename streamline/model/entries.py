"""What every part of a manifest is made of: strict structs, and values within bounds."""

from typing import Annotated

import msgspec

__all__ = [
    "DTYPES",
    "Count",
    "Digest",
    "Entry",
    "Level",
    "Name",
    "Polygons",
    "Shape",
    "Shapes",
    "Share",
    "Side",
    "Tap",
    "TapName",
    "Text",
]

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[\w.\-]+$")]
TapName = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[\w.\-]+(/[1-9][0-9]?)?$")
]
"""See `streamline.backbone.parse_tap`."""

Text = Annotated[str, msgspec.Meta(max_length=4096)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Side = Annotated[int, msgspec.Meta(ge=1, le=4096)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1 << 24)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Level = Annotated[float, msgspec.Meta(ge=0)]

Polygons = Annotated[
    tuple[
        Annotated[tuple[tuple[float, float], ...], msgspec.Meta(min_length=3, max_length=256)], ...
    ],
    msgspec.Meta(max_length=256),
]
"""See `streamline.mask.Mask`, which bounds them further; none: no mask."""

Shape = tuple[int, int, int]
"""Of features: channels, rows, columns."""

Tap = tuple[str, Shape]
"""What features are taken, and the shape that they were when a model was fitted to them."""

Shapes = dict[str, tuple[str, tuple[int, ...]]]
"""Type, one of `DTYPES`, and shape of each tensor by name."""

DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "I8": "i1"}
"""Types of tensors as safetensors calls them, and as NumPy does."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the manifest; keys it doesn't know are errors."""
