"""Messages as bytes: what goes in comes out, and nothing else gets in."""

import json
import math
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamline.clock import SAME_CLOCK, UNKNOWN_CLOCK, Shift
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
from streamline.transport.wire import (
    PLAIN_OUTCOMES,
    Buffer,
    decode_frame,
    decode_outcome,
    decode_prepared,
    decode_scored,
    encode_frame,
    encode_outcome,
    encode_prepared,
    encode_scored,
)

Bytes = npt.NDArray[np.uint8]
Decode = Callable[[Sequence[Buffer]], object]

NUMBERS = st.integers(0, 2**53)
TIMES = st.integers(-(2**62), 2**62)
CAMERAS = st.text(max_size=12)
SIDES = st.integers(1, 17)
FAULTS = st.none() | st.sampled_from(Fault)
ORIGINS = st.builds(
    Origin,
    id=st.builds(FrameId, camera=CAMERAS, incarnation=NUMBERS, seq=NUMBERS),
    captured_ns=TIMES,
    wall_ns=TIMES,
    error_ns=st.none() | st.integers(0, 2**62),
    pts_s=st.none() | st.floats(allow_nan=False),
)
ORIGIN = Origin(FrameId("left", 1_700_000_000_000, 7), 123, 456, 789, 1.5)


def plane(shape: tuple[int, ...], *, padding: int, seed: int) -> Bytes:
    """A plane of noise whose rows are followed by *padding* bytes that do not belong to it."""
    row = math.prod(shape[1:])
    whole = np.random.default_rng(seed).integers(0, 256, (shape[0], row + padding), np.uint8)
    packed = whole[:, :row]
    strides = (row + padding, *np.empty(shape, np.uint8).strides[1:])
    view = np.lib.stride_tricks.as_strided(packed, shape, strides, writeable=False)
    assert np.array_equal(view.reshape(shape[0], row), packed)
    return view


def shapes_of(layout: PixelFormat, height: int, width: int) -> list[tuple[int, ...]]:
    """Shapes of the planes of a picture, as `PixelFormat` describes them."""
    half = (math.ceil(height / 2), math.ceil(width / 2))
    shapes: dict[PixelFormat, list[tuple[int, ...]]] = {
        PixelFormat.I420: [(height, width), half, half],
        PixelFormat.RGB: [(height, width, 3)],
        PixelFormat.GRAY: [(height, width)],
    }
    return shapes[layout]


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    """Pictures of every layout, meaning and parity, with padded and with packed rows."""
    layout = draw(st.sampled_from(PixelFormat))
    padding, seed = draw(st.integers(0, 5)), draw(st.integers(0, 99))
    shapes = shapes_of(layout, draw(SIDES), draw(SIDES))
    planes = tuple(plane(s, padding=padding, seed=seed + i) for i, s in enumerate(shapes))
    return Picture(format=layout, planes=planes, colour=draw(st.sampled_from(Colour)))


@st.composite
def prepared_frames(draw: st.DrawFn) -> Prepared:
    """Prepared frames with pixels, or with a fault."""
    fault = draw(FAULTS)
    shape = (draw(SIDES), draw(SIDES), 3)
    pixels = None if fault else plane(shape, padding=0, seed=draw(st.integers(0, 99)))
    return Prepared(origin=draw(ORIGINS), pixels=pixels, fault=fault)


@st.composite
def pins(draw: st.DrawFn) -> Pin:
    """Pins with and without a heat map."""
    shape = draw(st.none() | st.tuples(SIDES, SIDES))
    heat = None if shape is None else np.random.default_rng(0).random(shape).astype(np.float16)
    score, threshold = draw(st.floats(0)), draw(st.floats(0))
    record = json.dumps({"text": draw(st.text(max_size=20))})
    return Pin(
        kind=draw(st.sampled_from(PinKind)),
        alert_id=draw(CAMERAS),
        score=score,
        threshold=threshold,
        map=heat,
        record=record,
    )


FRAMES = st.builds(Frame, origin=ORIGINS, picture=pictures(), fault=FAULTS)
SCORED = st.builds(
    Scored, origin=ORIGINS, score=st.floats(0, allow_infinity=False), model=CAMERAS, fault=st.none()
) | st.builds(Scored, origin=ORIGINS, score=st.just(math.nan), fault=st.sampled_from(Fault))
OUTCOMES = st.builds(Dropped, stage=CAMERAS, reason=CAMERAS) | st.builds(
    Judged, verdict=st.sampled_from(Verdict), pin=st.none() | pins()
)


def as_received(parts: Sequence[Buffer]) -> list[memoryview]:
    """The parts as a socket hands them over: flat bytes in memory of their own."""
    return [memoryview(bytes(part)) for part in parts]


# --- round trips ------------------------------------------------------------------------------


def test_plain_outcomes_say_what_their_bytes_say() -> None:
    for data, judged in PLAIN_OUTCOMES.items():
        decoded = decode_outcome(data)
        assert isinstance(decoded, Judged)
        assert (decoded.verdict, decoded.fault, decoded.pin) == (judged.verdict, judged.fault, None)
        assert encode_outcome(judged) == data
    reasons = {judged.fault for judged in PLAIN_OUTCOMES.values()}
    assert reasons == {None, *Fault}


@given(frame=FRAMES)
def test_a_frame_comes_back_as_it_was_sent(frame: Frame) -> None:
    back = decode_frame(as_received(encode_frame(frame)), SAME_CLOCK)
    assert (back.origin, back.fault) == (frame.origin, frame.fault)
    assert back.picture.format is frame.picture.format
    assert back.picture.colour is frame.picture.colour
    for got, sent in zip(back.picture.planes, frame.picture.planes, strict=True):
        assert np.array_equal(got, sent)


@given(prepared=prepared_frames())
def test_a_prepared_frame_comes_back_as_it_was_sent(prepared: Prepared) -> None:
    back = decode_prepared(as_received(encode_prepared(prepared)), SAME_CLOCK)
    assert (back.origin, back.fault) == (prepared.origin, prepared.fault)
    assert (back.pixels is None) == (prepared.pixels is None)
    if back.pixels is not None and prepared.pixels is not None:
        assert np.array_equal(back.pixels, prepared.pixels)


@given(scored=SCORED)
def test_a_score_comes_back_as_it_was_sent(scored: Scored) -> None:
    back = decode_scored(as_received(encode_scored(scored)), SAME_CLOCK)
    assert (back.origin, back.fault) == (scored.origin, scored.fault)
    assert np.array_equal([back.score], [scored.score], equal_nan=True)


@pytest.mark.parametrize(
    ("error_ns", "shift", "expected"),
    [(40, Shift(-1_000, 2), (-877, 42)), (None, Shift(5, 2), (128, None)),
     (40, UNKNOWN_CLOCK, (123, None))],
)  # fmt: skip
def test_the_time_of_capture_is_had_on_the_receivers_clock_and_errors_add_up(
    error_ns: int | None, shift: Shift, expected: tuple[int, int | None]
) -> None:
    origin = ORIGIN._replace(error_ns=error_ns)
    scored = Scored(origin=origin, score=1.5)
    back = decode_scored(as_received(encode_scored(scored)), shift).origin
    assert (back.captured_ns, back.error_ns) == expected
    assert back._replace(captured_ns=origin.captured_ns, error_ns=error_ns) == origin


@given(outcome=OUTCOMES)
def test_an_outcome_comes_back_as_it_was_sent(outcome: Outcome) -> None:
    back = decode_outcome(encode_outcome(outcome))
    if isinstance(outcome, Dropped):
        assert back == outcome
        return
    assert isinstance(back, Judged)
    assert back.verdict is outcome.verdict
    assert (back.pin is None) == (outcome.pin is None)
    if back.pin is None or outcome.pin is None:
        return
    assert (back.pin.alert_id, back.pin.record) == (outcome.pin.alert_id, outcome.pin.record)
    assert (back.pin.score, back.pin.threshold) == (outcome.pin.score, outcome.pin.threshold)
    assert (back.pin.map is None) == (outcome.pin.map is None)
    if back.pin.map is not None and outcome.pin.map is not None:
        assert back.pin.map.dtype == np.float16
        assert np.array_equal(back.pin.map, outcome.pin.map)


# --- pixels are neither copied nor writable ---------------------------------------------------


@pytest.mark.parametrize("layout", PixelFormat)
def test_packed_pixels_of_a_frame_are_never_copied(layout: PixelFormat) -> None:
    planes = tuple(plane(s, padding=0, seed=1) for s in shapes_of(layout, 6, 9))
    picture = Picture(format=layout, planes=planes)
    _, *parts = encode_frame(Frame(origin=ORIGIN, picture=picture))
    for sent, part in zip(planes, parts, strict=True):
        assert np.shares_memory(sent, np.frombuffer(part, np.uint8))
    received = as_received(encode_frame(Frame(origin=ORIGIN, picture=picture)))
    for got, data in zip(
        decode_frame(received, SAME_CLOCK).picture.planes, received[1:], strict=True
    ):
        assert np.shares_memory(got, np.frombuffer(data, np.uint8))


def test_pixels_of_a_prepared_frame_are_never_copied() -> None:
    pixels = plane((4, 5, 3), padding=0, seed=1)
    parts = encode_prepared(Prepared(origin=ORIGIN, pixels=pixels))
    assert np.shares_memory(pixels, np.frombuffer(parts[1], np.uint8))
    back = decode_prepared(parts, SAME_CLOCK)
    assert back.pixels is not None
    assert np.shares_memory(back.pixels, pixels)


def test_what_is_decoded_is_read_only_even_from_memory_that_is_not() -> None:
    picture = Picture(format=PixelFormat.GRAY, planes=(plane((2, 2), padding=0, seed=1),))
    frame = encode_frame(Frame(origin=ORIGIN, picture=picture))
    prepared = encode_prepared(Prepared(origin=ORIGIN, pixels=plane((2, 2, 3), padding=0, seed=1)))
    heat = np.ones((2, 2), np.float16)
    pin = Pin(kind=PinKind.FAIL, alert_id="a", score=1.0, threshold=1.0, map=heat, record="{}")
    judged = decode_outcome(encode_outcome(Judged(verdict=Verdict.FAIL, pin=pin)))
    assert isinstance(judged, Judged)
    assert judged.pin is not None
    arrays = [
        decode_frame([frame[0], memoryview(bytearray(frame[1]))], SAME_CLOCK).picture.planes[0],
        decode_prepared([prepared[0], memoryview(bytearray(prepared[1]))], SAME_CLOCK).pixels,
        judged.pin.map,
    ]
    assert [None if a is None else a.flags.writeable for a in arrays] == [False] * 3


# --- what was not made by this version is refused ---------------------------------------------

DECODERS: dict[str, Decode] = {
    "frame": lambda parts: decode_frame(parts, SAME_CLOCK),
    "prepared": lambda parts: decode_prepared(parts, SAME_CLOCK),
    "scored": lambda parts: decode_scored(parts, SAME_CLOCK),
    "outcome": lambda parts: decode_outcome(parts[0] if parts else b""),
}


def examples(kind: str) -> list[Buffer]:
    """A valid message of each kind, with as much in it as there can be."""
    shapes = shapes_of(PixelFormat.I420, 3, 5)
    planes = tuple(plane(s, padding=0, seed=1) for s in shapes)
    picture = Picture(format=PixelFormat.I420, planes=planes)
    heat = np.ones((2, 3), np.float16)
    pin = Pin(
        kind=PinKind.BEGIN, alert_id="left-1-7", score=2.0, threshold=1.0, map=heat, record="{}"
    )
    pixels = plane((2, 2, 3), padding=0, seed=1)
    messages: dict[str, list[Buffer]] = {
        "frame": encode_frame(Frame(origin=ORIGIN, picture=picture)),
        "prepared": encode_prepared(Prepared(origin=ORIGIN, pixels=pixels)),
        "scored": encode_scored(Scored(origin=ORIGIN, score=1.5)),
        "outcome": [encode_outcome(Judged(verdict=Verdict.FAIL, pin=pin))],
    }
    return messages[kind]


KINDS = pytest.mark.parametrize("kind", DECODERS)


@KINDS
@given(noise=st.lists(st.binary(max_size=60), max_size=5))
def test_noise_is_refused_with_a_wire_error(kind: str, noise: list[bytes]) -> None:
    with pytest.raises(WireError, match="not a "):
        DECODERS[kind](noise)


@KINDS
@given(
    part=st.integers(0, 3),
    at=st.integers(0, 500),
    with_=st.binary(max_size=3),
    cut=st.integers(0, 3),
)
@example(part=0, at=1, with_=b"\xa2\xff\xfe", cut=3)
def test_a_mutated_message_is_read_or_refused_with_a_wire_error(
    kind: str, part: int, at: int, with_: bytes, cut: int
) -> None:
    parts = [bytes(p) for p in examples(kind)]
    part %= len(parts)
    at %= len(parts[part])
    parts[part] = parts[part][:at] + with_ + parts[part][at + cut :]
    try:
        DECODERS[kind](parts)
    except WireError as exc:
        assert str(exc).startswith("not a")  # noqa: PT017 - a mutation may also mean something


@KINDS
def test_a_message_cut_anywhere_is_refused_with_a_wire_error(kind: str) -> None:
    whole = [bytes(p) for p in examples(kind)]
    for number, part in enumerate(whole):
        for length in range(len(part)):
            cut = [*whole[:number], part[:length], *whole[number + 1 :]]
            with pytest.raises(WireError, match="not a "):
                DECODERS[kind](cut)


@pytest.mark.parametrize("kind", ["frame", "prepared", "scored"])
def test_a_message_with_a_part_too_many_or_too_few_is_refused(kind: str) -> None:
    whole = examples(kind)
    for parts in ([*whole, b""], whole[:-1]):
        with pytest.raises(WireError, match="not a "):
            DECODERS[kind](parts)


OF_ALL = ["camera", "incarnation", "seq", "captured_ns", "wall_ns", "error_ns", "pts_s", "fault"]
FIELDS = {
    "frame": [*OF_ALL, "format", "colour", "shapes"],
    "prepared": [*OF_ALL, "shape", "spot"],
    "scored": [*OF_ALL, "score", "model"],
}


def head_of(kind: str, **changes: object) -> bytes:
    """A header as `examples` has it, with some of its fields replaced."""
    fields = msgspec.msgpack.decode(bytes(examples(kind)[0]))
    assert len(fields) == len(FIELDS[kind])
    for name, value in changes.items():
        fields[FIELDS[kind].index(name)] = value
    return msgspec.msgpack.encode(fields)


LIES: dict[str, tuple[str, dict[str, object]]] = {
    "a side too large for any camera": ("frame", {"format": "gray", "shapes": [[16385, 1]]}),
    "sides whose product overflows": ("frame", {"format": "gray", "shapes": [[2**62, 2**62]]}),
    "an empty picture": ("frame", {"format": "gray", "shapes": [[0, 5]]}),
    "a negative side": ("frame", {"format": "gray", "shapes": [[-1, 15]]}),
    "two channels": ("frame", {"format": "rgb", "shapes": [[3, 5, 2]]}),
    "chroma of the wrong size": ("frame", {"shapes": [[3, 5], [1, 2], [1, 2]]}),
    "a layout that takes one plane": ("frame", {"format": "gray"}),
    "no planes": ("frame", {"shapes": []}),
    "an unknown layout": ("frame", {"format": "nv12"}),
    "an unknown colour": ("frame", {"colour": "bt2020"}),
    "an unknown fault": ("scored", {"fault": "tired", "score": math.nan}),
    "pixels in spite of a fault": ("prepared", {"fault": "shape"}),
    "neither pixels nor a fault": ("prepared", {"shape": None}),
    "four channels": ("prepared", {"shape": [2, 2, 4]}),
    "more pixels than were sent": ("prepared", {"shape": [16384, 16384, 3]}),
    "a score in spite of a fault": ("scored", {"fault": "model"}),
    "a camera under too long a name": ("scored", {"camera": "x" * 257}),
    "a model under too long a name": ("scored", {"model": "x" * 257}),
    "an infinite score": ("scored", {"score": math.inf}),
    "no number and no fault": ("scored", {"score": math.nan}),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_claims_the_impossible_is_refused(lie: str) -> None:
    kind, changes = LIES[lie]
    parts = examples(kind)
    if lie == "neither pixels nor a fault":
        parts = parts[:1]
    with pytest.raises(WireError, match="not a "):
        DECODERS[kind]([head_of(kind, **changes), *parts[1:]])


PIN = Pin(kind=PinKind.FAIL, alert_id="a", score=2.0, threshold=1.0, record='{"a": [1]}', map=None)


def judged(*, record: str = PIN.record, alert_id: str = PIN.alert_id) -> bytes:
    """An outcome that asks for a frame to be kept, as a peer may send it."""
    pin = replace(PIN, record=record, alert_id=alert_id)
    return encode_outcome(Judged(verdict=Verdict.FAIL, pin=pin))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"record": ""}, id="no-record"),
        pytest.param({"record": "{"}, id="no-json"),
        pytest.param({"record": "[1]"}, id="no-object"),
        pytest.param({"record": '{"a": NaN}'}, id="json-of-no-standard"),
        pytest.param({"record": "[" * 60_000}, id="nested-too-deep"),
        pytest.param({"record": '{"a":' * 10_000 + "1" + "}" * 10_000}, id="deep-object"),
        pytest.param({"record": f'{{"a": "{"x" * 70_000}"}}'}, id="too-long"),
        pytest.param({"alert_id": "a" * 129}, id="name-too-long"),
    ],
)
def test_evidence_with_a_record_that_is_no_short_json_object_is_refused(
    changes: dict[str, str],
) -> None:
    assert decode_outcome(judged()) is not None
    with pytest.raises(WireError, match="not a outcome"):
        decode_outcome(judged(**changes))


def test_a_header_that_is_not_changed_is_accepted() -> None:
    for kind in ("frame", "prepared", "scored"):
        assert DECODERS[kind]([head_of(kind), *examples(kind)[1:]])


def test_a_lying_header_makes_nobody_allocate_what_it_claims() -> None:
    lies = [
        ("frame", [head_of("frame", format="rgb", shapes=[[16384, 16384, 3]]), b"abc"]),
        ("prepared", [head_of("prepared", shape=[16384, 16384, 3]), b"abc"]),
        ("outcome", [msgspec.msgpack.encode(
            ["fail", "", "", ["a", 1.0, 1.0, "{}", [16384, 16384], b"ab"]])]),
    ]  # fmt: skip
    tracemalloc.start()
    try:
        for kind, parts in lies:
            with pytest.raises(WireError, match="not a "):
                DECODERS[kind](parts)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_the_error_says_what_was_expected_and_what_came() -> None:
    with pytest.raises(WireError, match=r"not a prepared frame \(parts of \[3, 0\] bytes\)"):
        decode_prepared([b"abc", b""], SAME_CLOCK)
