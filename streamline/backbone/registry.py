"""Find a shipped network by name and precision, and make sure that it is the one shipped."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from streamline.errors import ModelError

__all__ = ["Backbone", "Layer", "get"]

_FOLDER: Final = Path(__file__).parent


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """One network in one precision: uint8 RGB frames ``(n, height, width, 3)`` in, features out."""

    name: str
    precision: str
    """Of the stored weights and, for int8, of the arithmetic."""

    xml: Path
    """OpenVINO IR; its weights lie beside it."""

    layers: Mapping[str, Layer]
    """Outputs by name, each float32 ``(n, channels, height, width)``, shallow to deep."""

    sha256: str
    """Names this very network: of the hashes of graph and weights."""

    height: int
    width: int
    """Input size, px."""


@cache
def get(name: str = "efficientnet_lite0", precision: str = "int8") -> Backbone:
    """Return a shipped network whose files are intact.

    Raises
    ------
    ModelError
        If there is none of that name and precision, or a file is not the one shipped.
    """
    folder = _FOLDER / name
    if not (folder / "manifest.json").is_file():
        known = sorted(path.parent.name for path in _FOLDER.glob("*/manifest.json"))
        msg = f"no backbone {name!r} in this release; there are: {', '.join(known)}"
        raise ModelError(msg)
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=_Manifest)
    files = [f"{precision}.xml", f"{precision}.bin"]
    if not set(files) <= set(manifest.sha256):
        known = sorted(Path(file).stem for file in manifest.sha256 if file.endswith(".xml"))
        msg = f"backbone {name} comes in {' and '.join(known)}, not in {precision!r}"
        raise ModelError(msg)
    for file in files:
        _require_intact(folder / file, manifest.sha256[file])
    both = "".join(manifest.sha256[file] for file in files)
    return Backbone(
        name=manifest.name,
        precision=precision,
        xml=folder / files[0],
        layers=manifest.layers,
        sha256=hashlib.sha256(both.encode()).hexdigest(),
        height=manifest.input.height,
        width=manifest.input.width,
    )


def _require_intact(path: Path, sha256: str) -> None:
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as exc:
        msg = f"{path}: can't be read ({exc.strerror}); install Streamline again"
        raise ModelError(msg) from exc
    if found != sha256:
        msg = f"{path}: not the file that was shipped (SHA-256 differs); install Streamline again"
        raise ModelError(msg)
