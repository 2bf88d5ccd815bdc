"""Stored networks, changed where who reads them counts, makes room, divides, or follows an edge."""

import random
import re
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["mutated_constants", "mutated_graph"]

_SIZES: Final = (
    *("0", "1", "-1", "2", "3", "00", "01", "64", "4096", "16777216"),
    *(str(2**bits + more) for bits in (31, 32, 63, 64) for more in (-1, 0)),
    *(str(-(2**31)), str(-(2**63)), "?", "x", "", "1.5", "1e9", "nan"),
)

_KINDS: Final = (
    "Add", "AdaptiveAvgPool", "AvgPool", "BatchNormInference", "Broadcast", "Clamp", "Concat",
    "Const", "Convert", "Convolution", "ConvolutionBackpropData", "DepthToSpace", "Divide",
    "FakeQuantize", "Gather", "GroupConvolution", "GroupNormalization", "Interpolate", "Loop",
    "MVN", "MatMul", "MaxPool", "Mod", "NormalizeL2", "Pad", "Parameter", "Power", "ReduceMean",
    "ReduceSum", "Reshape", "Result", "ScaledDotProductAttention", "ShapeOf", "ShuffleChannels",
    "Slice", "SoftMax", "SpaceToDepth", "Split", "Squeeze", "StridedSlice", "Tile", "Transpose",
    "Unsqueeze", "VariadicSplit", "relu", "",
)  # fmt: skip
"""Operations that others are turned into."""

_TYPES: Final = ("f16", "f64", "i32", "i64", "u8", "u1", "i4", "boolean", "string", "dynamic")

_ATTRIBUTES: Final = (
    "axes", "axis", "batch_dims", "begin_mask", "block_size", "dilations", "element_type",
    "ellipsis_mask", "end_mask", "group", "keep_dims", "kernel", "levels", "new_axis_mask",
    "num_splits", "output_padding", "pads_begin", "pads_end", "shape", "shrink_axis_mask", "size",
    "strides",
)  # fmt: skip
"""Of operations, which others than those that have them may be given."""

_VALUE: Final = r'(?<= {}=")[^"]*(?=")'
_NUMBER: Final = r'(?<=[" ,>])\d+(?=[" ,<])'
_LAYER: Final = r"<layer .*?</layer>|<layer [^>]*/>"
_WHOLE: Final = r'element_type="i64" shape="[^"]*" offset="(\d+)" size="(\d+)"'
_WHOLE_BYTES: Final = 8


def mutated_graph(text: str, chance: random.Random) -> str:
    """Return the text of a graph that differs in a few places, each of which means something."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        text = chance.choice(_WAYS)(text, chance)
    return text


def mutated_constants(text: str, weights: bytes, chance: random.Random) -> bytes:
    """Return weights in which whole numbers differ: shapes, axes, places and divisors."""
    made = bytearray(weights)
    places = [
        at
        for begin, size in re.findall(_WHOLE, text)
        for at in range(int(begin), int(begin) + int(size), _WHOLE_BYTES)
    ]
    for at in chance.choices(places, k=chance.choice((1, 1, 2))) if places else ():
        number = chance.choice((0, 1, -1, 2, 3, 5, 2**31, 2**32, 2**40, 2**63 - 1, -(2**63)))
        made[at : at + _WHOLE_BYTES] = number.to_bytes(_WHOLE_BYTES, "little", signed=True)
    return bytes(made)


def _resize(text: str, chance: random.Random) -> str:
    return _replace(text, _NUMBER, lambda _: chance.choice(_SIZES), chance)


def _pad(text: str, chance: random.Random) -> str:
    """Write a number in another form."""
    forms = ("0{}", "+{}", " {}", "{} ", "{}.0", "0x{}")
    return _replace(text, _NUMBER, chance.choice(forms).format, chance)


def _turn(text: str, chance: random.Random) -> str:
    """Make an operation another one."""
    return _replace(text, _VALUE.format("type"), lambda _: chance.choice(_KINDS), chance)


def _recast(text: str, chance: random.Random) -> str:
    name = chance.choice(("element_type", "destination_type", "output_type"))
    return _replace(text, _VALUE.format(name), lambda _: chance.choice(_TYPES), chance)


def _age(text: str, chance: random.Random) -> str:
    """Take an operation from another set of them."""
    pattern = _VALUE.format("version")
    return _replace(text, pattern, lambda _: f"opset{chance.randrange(17)}", chance)


def _drop(text: str, chance: random.Random) -> str:
    return _replace(text, r' [\w-]+="[^"]*"', lambda _: "", chance)


def _give(text: str, chance: random.Random) -> str:
    """Give an operation an attribute that may be another one's, or its own once more."""
    said = f'{chance.choice(_ATTRIBUTES)}="{", ".join(_some(_SIZES, chance))}"'
    return _replace(text, r"<data ", lambda old: f"{old}{said} ", chance)


def _lengthen(text: str, chance: random.Random) -> str:
    """Say more, or fewer, numbers than there were."""
    pattern = r'(?<=")[\d, ]+(?=")'
    return _replace(text, pattern, lambda _: ", ".join(_some(_SIZES, chance)), chance)


def _exchange(text: str, chance: random.Random) -> str:
    """Let two say of themselves what the other one did: layers, ports, kinds, places, shapes."""
    names = ("id", "type", "from-layer", "to-layer", "from-port", "to-port", "shape", "offset")
    return _mix(text, _VALUE.format(chance.choice(names)), chance)


def _misplace(text: str, chance: random.Random) -> str:
    """Move a layer, a port, an edge or an input of one, or write it twice."""
    kinds = (_LAYER, r"<port .*?</port>", r"<dim>\d+</dim>", r"<edge [^>]*/>", r"<data [^>]*/>")
    return _mix(text, chance.choice(kinds), chance)


def _remove(text: str, chance: random.Random) -> str:
    kinds = (_LAYER, r"<port .*?</port>", r"<dim>\d+</dim>", r"<edge [^>]*/>", r"<data [^>]*/>")
    return _replace(text, chance.choice(kinds), lambda _: "", chance)


_WAYS: Final[Sequence[Callable[[str, random.Random], str]]] = (
    *(_resize, _resize, _pad, _turn, _turn, _recast, _age, _drop, _give, _lengthen),
    *(_exchange, _exchange, _misplace, _remove),
)


def _replace(text: str, pattern: str, by: Callable[[str], str], chance: random.Random) -> str:
    """Put something in the place of one match."""
    found = list(re.finditer(pattern, text, re.DOTALL))
    if not found:
        return text
    one = chance.choice(found)
    return text[: one.start()] + by(one.group()) + text[one.end() :]


def _mix(text: str, pattern: str, chance: random.Random) -> str:
    """Put one match in another one's place; mostly that one in its."""
    found = list(re.finditer(pattern, text, re.DOTALL))
    if len(found) < 2:
        return text
    one, other = sorted(chance.sample(found, 2), key=re.Match.start)
    first = one if chance.random() < 0.3 else other
    between = text[one.end() : other.start()]
    return text[: one.start()] + first.group() + between + one.group() + text[other.end() :]


def _some(values: Sequence[str], chance: random.Random) -> Sequence[str]:
    return chance.choices(values, k=chance.choice((1, 2, 2, 4, 9)))
