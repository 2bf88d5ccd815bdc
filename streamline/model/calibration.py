"""A calibration: held-out scores of normal frames, and the file they are kept in.

It lies beside the manifest in a model's directory, and a camera may have one of its own for a
model that it shares: all that a verdict needs beside a frame's score is in it. JSON that people
can read, but for the scores.
"""

import hashlib
import os
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from streamline import __version__
from streamline.conformal import ConformalTest
from streamline.errors import InputError, ModelError
from streamline.mask import Mask
from streamline.model.entries import Count, Digest, Entry, Level, Polygons, Text
from streamline.regular import open_regular
from streamline.scene import THUMBNAIL, Range, SceneReference

__all__ = ["Calibration", "Way", "load_calibration", "save_calibration"]

Way = Literal["cross-fit", "split"]

_FORMAT = "streamline-calibration"
_VERSION = 1
_BYTES = 1 << 26
"""Of a file at most."""

_THUMBNAIL = THUMBNAIL * THUMBNAIL


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """The false-alarm rate, and the held-out scores of normal frames that stand for it."""

    alpha: float
    """False-alarm rate per frame: a frame fails if its p-value is at most this."""

    scores: npt.NDArray[np.float64]
    """Shape ``(n,)``: of normal frames in order of time, by a fit that had not seen them."""

    way: Way
    """cross-fit: the frames of the fit itself, each block of them judged by a fit to the others;
    split: frames that the fit never saw, judged by the model itself."""

    effective_frames: float
    """How many independent scores those are worth, in [1, n]; see `effective_size`."""

    blocks: int
    """Contiguous runs the frames were judged, and are counted, in."""

    gap: int
    """Frames left out on either side of such a run."""

    mask: Mask | None = None
    """What a camera leaves out of a model that was fitted without that mask."""

    interval_s: float | None = None
    """Time from one frame to the next, s; None: still pictures, which have none."""

    source: str
    """What was seen, for people to read; credentials redacted."""

    created: str
    """UTC, ISO 8601."""

    device: str = ""
    """What computed the scores; empty: not known."""

    arithmetic: str = ""
    """In which precision it did, what is quantised apart; empty: not known."""

    scene: SceneReference | None = None
    """Light, lens and view of these frames; None: not known."""

    model: str = ""
    """SHA-256 of the model that it belongs to; empty until one of the two is saved."""

    digest: str = ""
    """SHA-256 that names it; empty until it is saved."""

    test: ConformalTest = field(init=False)
    """What a score's p-value is."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "test", ConformalTest(self.scores, alpha=self.alpha))

    @property
    def threshold(self) -> float:
        """A frame fails if its score is above this, which is to say, its p-value at most alpha."""
        return self.test.threshold

    @property
    def frames(self) -> int:
        """Number of normal frames that were scored."""
        return len(self.scores)


_Span = tuple[Level, Level]


class _Scene(Entry, frozen=True):
    """See `SceneReference`."""

    brightness: _Span
    contrast: _Span
    sharpness: _Span
    agreement: Annotated[float, msgspec.Meta(ge=0, le=1)]
    thumbnail: Annotated[bytes, msgspec.Meta(min_length=_THUMBNAIL, max_length=_THUMBNAIL)]
    """Grey levels, row by row."""


class _File(Entry, frozen=True, omit_defaults=True):
    """All of a calibration's file."""

    format: Literal["streamline-calibration"]
    version: Literal[1]
    streamline: Text
    created: Text
    source: Text
    model: Digest
    alpha: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    threshold: Level
    frames: Count
    effective_frames: Annotated[float, msgspec.Meta(ge=1)]
    way: Way
    blocks: Count
    gap: Annotated[int, msgspec.Meta(ge=0)]
    mask: Polygons = ()
    interval_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    device: Annotated[str, msgspec.Meta(max_length=64)] = ""
    arithmetic: Annotated[str, msgspec.Meta(max_length=64)] = ""
    digest: Digest | Literal[""] = ""
    scene: _Scene | None = None
    scores: bytes = b""
    """float64, little-endian, in order of time."""

    def __post_init__(self) -> None:
        """Refuse polygons that are no mask."""
        Mask.for_judging(self.mask)


class _Header(msgspec.Struct):
    """What every version of the file has; all else is ignored."""

    format: str = ""
    version: int = 0


def save_calibration(calibration: Calibration, path: Path, /) -> Calibration:
    """Write a calibration whole or not at all, in the place of one that is there.

    Returns
    -------
    Calibration
        The same, with the digest it got.

    Raises
    ------
    InputError
        If something else is there, or the disk refuses.
    """
    _require_own(path)
    entry = _entry_of(calibration)
    data = msgspec.json.format(msgspec.json.encode(entry), indent=2) + b"\n"
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as exc:
        partial.unlink(missing_ok=True)
        msg = f"the calibration can't be written to {path}: {exc.strerror or exc}"
        raise InputError(msg) from exc
    return replaced(calibration, digest=entry.digest)


def _require_own(path: Path) -> None:
    """Refuse to write over what is no calibration."""
    if not path.exists():
        return
    try:
        header = msgspec.json.decode(path.read_bytes(), type=_Header)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        header = _Header()
    if header.format != _FORMAT:
        msg = f"{path} is there already and is no calibration; choose another name"
        raise InputError(msg)


def _entry_of(calibration: Calibration) -> _File:
    bare = _File(
        format="streamline-calibration",
        version=1,
        streamline=__version__,
        created=calibration.created,
        source=calibration.source[:4096],
        model=calibration.model,
        alpha=calibration.alpha,
        threshold=calibration.threshold,
        frames=calibration.frames,
        effective_frames=calibration.effective_frames,
        way=calibration.way,
        blocks=calibration.blocks,
        gap=calibration.gap,
        mask=() if calibration.mask is None else calibration.mask.polygons,
        interval_s=calibration.interval_s,
        device=calibration.device,
        arithmetic=calibration.arithmetic,
        scene=None if calibration.scene is None else _scene_entry(calibration.scene),
        scores=calibration.scores.astype("<f8").tobytes(),
    )
    return msgspec.structs.replace(bare, digest=_digest_of(bare))


def _scene_entry(scene: SceneReference) -> _Scene:
    return _Scene(
        brightness=scene.brightness,
        contrast=scene.contrast,
        sharpness=scene.sharpness,
        agreement=scene.agreement,
        thumbnail=scene.thumbnail.tobytes(),
    )


def _scene_of(entry: _Scene) -> SceneReference:
    pixels = np.frombuffer(entry.thumbnail, np.uint8)
    return SceneReference(
        brightness=Range(*entry.brightness),
        contrast=Range(*entry.contrast),
        sharpness=Range(*entry.sharpness),
        agreement=entry.agreement,
        thumbnail=pixels.reshape(THUMBNAIL, THUMBNAIL),
    )


def _digest_of(entry: _File) -> str:
    bare = msgspec.structs.replace(entry, digest="")
    return hashlib.sha256(msgspec.json.encode(bare, order="sorted")).hexdigest()


def load_calibration(path: Path, /) -> Calibration:
    """Read a calibration from a file that may be anything.

    Raises
    ------
    ModelError
        If it is none, of another version, or edited.
    """
    try:
        return _calibration_of(_decoded(_read(path)))
    except ValueError as exc:
        msg = f"{path} {exc}"
        raise ModelError(msg) from exc
    except FileNotFoundError as exc:
        msg = f"{path} is missing; make it with: streamline model calibrate MODEL SOURCE"
        raise ModelError(msg) from exc
    except OSError as exc:
        msg = f"{path} can't be read ({exc.strerror}); restore a copy or calibrate again"
        raise ModelError(msg) from exc


def _read(path: Path) -> bytes:
    with open_regular(path) as file:
        data = file.read(_BYTES + 1)
    if len(data) > _BYTES:
        msg = "is no calibration: it is far too large"
        raise ValueError(msg)
    return data


def _decoded(data: bytes) -> _File:
    try:
        header = msgspec.json.decode(data, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        header = _Header()
    if header.format != _FORMAT:
        msg = "is no calibration; make one with: streamline model calibrate MODEL SOURCE"
        raise ValueError(msg)
    if header.version != _VERSION:
        msg = (
            f"was written by another version of Streamline (format {header.version}, this one "
            f"reads {_VERSION}); update Streamline or calibrate again"
        )
        raise ValueError(msg)
    try:
        entry = msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        msg = f"is a damaged calibration ({exc}); restore a copy or calibrate again"
        raise ValueError(msg) from exc
    if entry.digest != _digest_of(entry):
        msg = "is a calibration that was edited; restore a copy or calibrate again"
        raise ValueError(msg)
    return entry


def _calibration_of(entry: _File) -> Calibration:
    if len(entry.scores) == 8 * entry.frames:
        scores = np.frombuffer(entry.scores, "<f8").astype(np.float64)
        if np.isfinite(scores).all() and scores.size / (scores.size + 1) >= 1 - entry.alpha:
            calibration = _joined(entry, scores)
            if calibration.threshold == entry.threshold:
                return calibration
    msg = "is a damaged calibration (its scores don't give its threshold); calibrate again"
    raise ValueError(msg)


def _joined(entry: _File, scores: npt.NDArray[np.float64]) -> Calibration:
    return Calibration(
        alpha=entry.alpha,
        scores=scores,
        way=entry.way,
        effective_frames=entry.effective_frames,
        blocks=entry.blocks,
        gap=entry.gap,
        mask=Mask(entry.mask) if entry.mask else None,
        interval_s=entry.interval_s,
        source=entry.source,
        created=entry.created,
        device=entry.device,
        arithmetic=entry.arithmetic,
        scene=None if entry.scene is None else _scene_of(entry.scene),
        model=entry.model,
        digest=entry.digest,
    )
