"""Messages as bytes: pure functions, no socket, pixels never copied.

A message is a list of parts: one msgpack header, then raw arrays.  Whatever a peer sends is
checked for type, size and shape before anything is made of it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
import numpy as np
import numpy.typing as npt

from streamline.clock import Shift
from streamline.errors import WireError
from streamline.messages import (
    Colour,
    Dropped,
    Fault,
    Frame,
    FrameId,
    Judged,
    Origin,
    Outcome,
    Picture,
    Pin,
    PinKind,
    PixelFormat,
    Prepared,
    Scored,
    Verdict,
)
from streamline.transport.protocol import NONSENSE
from streamline.transport.shelf import NO_SHELVES, Shelves, Spot
from streamline.transport.sockets import Buffer

__all__ = [
    "PLAIN_OUTCOMES",
    "WIRE_VERSION",
    "Buffer",
    "decode_frame",
    "decode_outcome",
    "decode_prepared",
    "decode_scored",
    "encode_frame",
    "encode_outcome",
    "encode_prepared",
    "encode_scored",
]

WIRE_VERSION = 5
"""Said by each end of a link when it opens; ends of different versions refuse each other."""

_MAX_SIDE = 16384
"""Largest width or height of anything on a link, px."""


_MAX_RECORD = 64 << 10
"""What is known of a frame is far less, characters."""

_Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""What a ledger's float64 holds exactly."""

_Name = Annotated[str, msgspec.Meta(max_length=256)]
"""As the pipeline file bounds its names, or of a few letters: logs tell them."""

_Place = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Time = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
_Error = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class _Head(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What every message about a frame begins with."""

    camera: _Name
    incarnation: _Number
    seq: _Number
    captured_ns: _Time
    wall_ns: _Time
    error_ns: _Error | None
    pts_s: float | None
    fault: Fault | None

    def origin(self, shift: Shift) -> Origin:
        """Return it with the time of capture on this host's clock."""
        frame = FrameId(self.camera, self.incarnation, self.seq)
        error_ns = self.error_ns
        if error_ns is not None:
            error_ns = None if shift.error_ns is None else error_ns + shift.error_ns
        return Origin(frame, self.captured_ns + shift.ns, self.wall_ns, error_ns, self.pts_s)


class _FrameHead(_Head, frozen=True, array_like=True, forbid_unknown_fields=True):
    format: PixelFormat
    colour: Colour
    shapes: tuple[tuple[int, ...], ...]


class _PreparedHead(_Head, frozen=True, array_like=True, forbid_unknown_fields=True):
    shape: tuple[int, int, int] | None
    spot: tuple[_Place, _Place] | None


class _ScoredHead(_Head, frozen=True, array_like=True, forbid_unknown_fields=True):
    score: float
    model: _Name


class _Pin(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    kind: PinKind
    alert_id: Annotated[str, msgspec.Meta(max_length=128)]
    score: float
    threshold: float
    record: Annotated[str, msgspec.Meta(max_length=_MAX_RECORD)]
    map_shape: tuple[int, int] | None
    map: bytes


class _Outcome(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Either a verdict, or a stage and a reason."""

    verdict: Verdict | None
    fault: Fault | None
    stage: _Name
    reason: _Name
    pin: _Pin | None


_encode = msgspec.msgpack.Encoder().encode
_frame_head = msgspec.msgpack.Decoder(_FrameHead).decode
_prepared_head = msgspec.msgpack.Decoder(_PreparedHead).decode
_scored_head = msgspec.msgpack.Decoder(_ScoredHead).decode
_outcome = msgspec.msgpack.Decoder(_Outcome).decode
_json_object = msgspec.json.Decoder(dict[str, object]).decode


def _flat(origin: Origin) -> tuple[str, int, int, int, int, int | None, float | None]:
    """Return the fields of a header that say which frame, and when."""
    return (*origin.id, origin.captured_ns, origin.wall_ns, origin.error_ns, origin.pts_s)


def encode_frame(frame: Frame) -> list[Buffer]:
    """Return the header and one part a plane; padded planes are packed."""
    origin, picture = frame.origin, frame.picture
    planes = [np.ascontiguousarray(plane) for plane in picture.planes]
    head = _FrameHead(
        *_flat(origin),
        frame.fault,
        picture.format,
        picture.colour,
        tuple(plane.shape for plane in planes),
    )
    return [_encode(head), *(plane.data for plane in planes)]


def decode_frame(parts: Sequence[Buffer], shift: Shift) -> Frame:
    """Rebuild a frame; its planes share memory with the parts.

    Parameters
    ----------
    parts : sequence of buffers
    shift : Shift
        From the sender's clock to this host's.

    Raises
    ------
    WireError
        If the parts were not made by `encode_frame` of this version.
    """
    with _reading("frame", parts):
        head = _frame_head(parts[0])
        _require(_fits(head.format, head.shapes), f"planes of shapes {head.shapes}")
        planes = tuple(
            _array(part, shape) for part, shape in zip(parts[1:], head.shapes, strict=True)
        )
    picture = Picture(format=head.format, planes=planes, colour=head.colour)
    return Frame(origin=head.origin(shift), picture=picture, fault=head.fault)


def encode_prepared(prepared: Prepared, spot: Spot | None = None) -> list[Buffer]:
    """Return the header and, unless there is a fault, the pixels or their *spot* on a shelf."""
    origin, pixels = prepared.origin, prepared.pixels
    shape = None if pixels is None else pixels.shape
    head = _encode(_PreparedHead(*_flat(origin), prepared.fault, shape, spot))
    if pixels is None or spot is not None:
        return [head]
    return [head, np.ascontiguousarray(pixels).data]


def decode_prepared(
    parts: Sequence[Buffer], shift: Shift, shelves: Shelves = NO_SHELVES
) -> Prepared:
    """Rebuild a prepared frame; its pixels share memory with the part, or lie on a shelf.

    Parameters
    ----------
    parts : sequence of buffers
    shift : Shift
        From the sender's clock to this host's.
    shelves : Shelves, optional
        Those of this host.

    Raises
    ------
    WireError
        If the parts were not made by `encode_prepared` of this version.
    """
    with _reading("prepared frame", parts):
        head = _prepared_head(parts[0])
        shape = head.shape
        _require((shape is None) == (head.fault is not None), "pixels exactly if no fault")
        on_shelf = shape is None or head.spot is not None
        _require(len(parts) == (1 if on_shelf else 2), "one part for pixels that are on no shelf")
        _require(shape is None or _fits(PixelFormat.RGB, (shape,)), f"shape {shape}")
        pixels = None if shape is None else _pixels(head, shape, parts, shelves)
    return Prepared(origin=head.origin(shift), pixels=pixels, fault=head.fault)


def _pixels(
    head: _PreparedHead, shape: tuple[int, ...], parts: Sequence[Buffer], shelves: Shelves
) -> npt.NDArray[np.uint8]:
    """Find a prepared frame's pixels."""
    if head.spot is None:
        return _array(parts[1], shape)
    pixels = shelves.pixels(head.camera, Spot(*head.spot))
    _require(pixels.shape == shape, f"pixels of shape {pixels.shape}, not {shape}")
    return pixels


def encode_scored(scored: Scored) -> list[Buffer]:
    """Return the header, which holds everything."""
    origin = scored.origin
    return [_encode(_ScoredHead(*_flat(origin), scored.fault, scored.score, scored.model))]


def decode_scored(parts: Sequence[Buffer], shift: Shift) -> Scored:
    """Rebuild a scored frame.

    Parameters
    ----------
    parts : sequence of buffers
    shift : Shift
        From the sender's clock to this host's.

    Raises
    ------
    WireError
        If the parts were not made by `encode_scored` of this version.
    """
    with _reading("score", parts):
        head = _scored_head(parts[0])
        _require(math.isnan(head.score) == (head.fault is not None), "NaN exactly if a fault")
        _require(not math.isinf(head.score), "a finite score")
        _require(len(parts) == 1, "one part")
    return Scored(origin=head.origin(shift), score=head.score, model=head.model, fault=head.fault)


def encode_outcome(outcome: Outcome) -> bytes:
    """Return an outcome as one msgpack value, which relays pass on unread."""
    if isinstance(outcome, Dropped):
        return _encode(_Outcome(None, None, outcome.stage, outcome.reason, None))
    pin = outcome.pin
    if pin is None:
        return _encode(_Outcome(outcome.verdict, outcome.fault, "", "", None))
    shape = None if pin.map is None else pin.map.shape
    heat = b"" if pin.map is None else np.ascontiguousarray(pin.map, np.float16).tobytes()
    packed = _Pin(pin.kind, pin.alert_id, pin.score, pin.threshold, pin.record, shape, heat)
    return _encode(_Outcome(outcome.verdict, outcome.fault, "", "", packed))


def decode_outcome(data: Buffer) -> Outcome:
    """Rebuild an outcome.

    Raises
    ------
    WireError
        If the bytes were not made by `encode_outcome` of this version.
    """
    with _reading("outcome", [data]):
        head = _outcome(data)
        if head.verdict is None:
            return Dropped(stage=head.stage, reason=head.reason)
        pin = None if head.pin is None else _unpack(head.pin)
        return Judged(verdict=head.verdict, fault=head.fault, pin=pin)


def _unpack(pin: _Pin) -> Pin:
    _json_object(pin.record)
    heat = None if pin.map_shape is None else _heat(pin.map, pin.map_shape)
    return Pin(
        kind=pin.kind,
        alert_id=pin.alert_id,
        score=pin.score,
        threshold=pin.threshold,
        map=heat,
        record=pin.record,
    )


def _fits(layout: PixelFormat, shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether planes of these shapes make a picture of that layout, of a sane size."""
    if any(not 0 < side <= _MAX_SIDE for shape in shapes for side in shape):
        return False
    if layout is PixelFormat.I420:
        if len(shapes) != 3 or any(len(shape) != 2 for shape in shapes):
            return False
        height, width = shapes[0]
        half = ((height + 1) // 2, (width + 1) // 2)
        return shapes[1] == half and shapes[2] == half
    if layout is PixelFormat.RGB:
        return len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][2] == 3
    return len(shapes) == 1 and len(shapes[0]) == 2


def _heat(part: Buffer, shape: tuple[int, int]) -> npt.NDArray[np.float16]:
    _require(all(0 < side <= _MAX_SIDE for side in shape), f"map of shape {shape}")
    heat = np.frombuffer(part, np.float16).reshape(shape)
    heat.flags.writeable = False
    return heat


def _array(part: Buffer, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Read-only view of a part; a wrong size is NumPy's ValueError."""
    array = np.frombuffer(part, np.uint8).reshape(shape)
    array.flags.writeable = False
    return array


def _require(ok: bool, why: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not ok:
        raise ValueError(why)


PLAIN_OUTCOMES: Final[Mapping[bytes, Judged]] = {
    encode_outcome(judged): judged
    for judged in (
        Judged(verdict=Verdict.PASS),
        Judged(verdict=Verdict.FAIL),
        *(Judged(verdict=Verdict.UNKNOWN, fault=fault) for fault in Fault),
    )
}
"""What nearly every frame is answered: verdicts without a pin, which need not be read each time."""


class _reading:  # noqa: N801 - reads as a word; a generator would take three times as long
    """Turn whatever is wrong with bytes from a peer into the one error that says so."""

    __slots__ = ("_parts", "_what")

    def __init__(self, what: str, parts: Sequence[Buffer]) -> None:
        self._what = what
        self._parts = parts

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, NONSENSE):
            lengths = [len(part) for part in self._parts[:8]]
            msg = f"not a {self._what} (parts of {lengths} bytes): {error}"
            raise WireError(msg) from error
