"""The text of an OpenVINO graph, taken apart before OpenVINO may read it."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple, NoReturn
from xml.parsers import expat

__all__ = ["Operation", "operations_of"]

_MOST_OPERATIONS: Final = 12_000
"""Compiling takes time that grows with their square."""

_MOST_BYTES: Final = 32 << 20

_LARGEST: Final = 4096
"""Of what `_SMALL` say."""

_SMALL: Final = frozenset({
    "dilations", "kernel", "num_splits", "pads_begin", "pads_end", "strides",
})  # fmt: skip
"""What OpenVINO counts, makes room for, or computes by, before anybody can ask for a shape."""

_PER_BYTE: Final = 8
"""Numbers that a byte of weights can hold."""

_LAYER: Final = ["net", "layers", "layer"]
_PLACES: Final[Mapping[str, Sequence[Sequence[str]]]] = {
    "net": [[]],
    "layers": [["net"]],
    "edges": [["net"]],
    "layer": [["net", "layers"]],
    "data": [_LAYER],
    "input": [_LAYER],
    "output": [_LAYER],
    "port": [[*_LAYER, "input"], [*_LAYER, "output"]],
    "edge": [["net", "edges"]],
}
"""What is looked at, and where alone it may stand."""

_NONE: Final = "its graph is no OpenVINO IR, or no plain one"


class Operation(NamedTuple):
    """One of a graph."""

    name: str
    """Its number, as text."""

    kind: str
    sources: tuple[str, ...]
    """What it takes, in the order of its inputs."""

    numbers: int
    """Of a constant, how many there are, 1 if none; else 0."""

    type: str
    """Of what numbers it is said to be, or to make; nothing: those that it takes."""

    place: slice
    """Of a constant, where it is in the weights; else nowhere."""


def operations_of(graph: bytes, /) -> list[Operation]:
    """List what a graph computes, in the order in which it is written.

    Parameters
    ----------
    graph : bytes
        OpenVINO IR. What another parser may read otherwise is refused: other characters than
        ASCII, a DOCTYPE, what is told twice, layers at any other place than the top, ports that
        are not in their order, and numbers in any other form than the shortest.

    Raises
    ------
    ValueError
        If it is none, or far too large.
    """
    if len(graph) > _MOST_BYTES or not graph.isascii():
        raise ValueError(_NONE)
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(graph, True)  # noqa: FBT003 - the end of it
    except (expat.ExpatError, KeyError, ValueError) as exc:
        raise ValueError(_NONE) from exc
    return reader.operations()


class _Reader:
    def __init__(self) -> None:
        self._open: list[str] = []
        self._kinds: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._types: dict[str, str] = {}
        self._places: dict[str, slice] = {}
        self._sources: dict[str, dict[int, str]] = {}
        self._layer = ""
        self._ports = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """See an element begin."""
        self._open.append(tag)
        take = self._taking.get(tag)
        if take is None:
            return
        if self._open[:-1] not in _PLACES[tag]:
            self.refuse()
        take(attributes)

    @cached_property
    def _taking(self) -> Mapping[str, Callable[[dict[str, str]], None]]:
        return {
            **dict.fromkeys(("net", "layers", "edges", "input", "output"), lambda _: None),
            "layer": self._take_layer,
            "data": self._take_data,
            "port": self._take_port,
            "edge": self._take_edge,
        }

    def _take_layer(self, attributes: dict[str, str]) -> None:
        self._layer = attributes["id"]
        _whole(self._layer)
        self._ports = 0
        if self._layer in self._kinds or len(self._kinds) == _MOST_OPERATIONS:
            self.refuse()
        self._kinds[self._layer] = attributes["type"]
        self._sources[self._layer] = {}

    def _take_data(self, attributes: dict[str, str]) -> None:
        if self._layer in self._numbers:
            self.refuse()
        if any(number > _LARGEST for name in _SMALL for number in _list(attributes.get(name, ""))):
            self.refuse()
        self._numbers[self._layer] = 0
        self._types[self._layer] = attributes.get(
            "element_type", attributes.get("destination_type", "")
        )
        if self._kinds[self._layer] == "Const":
            # Nothing of one may be many of the next.
            numbers = math.prod(max(extent, 1) for extent in _list(attributes["shape"]))
            begin, size = (_whole(attributes[key]) for key in ("offset", "size"))
            if numbers > max(_PER_BYTE * size, 1):
                self.refuse()
            self._numbers[self._layer] = numbers
            self._places[self._layer] = slice(begin, begin + size)

    def _take_port(self, attributes: dict[str, str]) -> None:
        # Edges name ports, and OpenVINO takes inputs in the order of these.
        if _whole(attributes["id"]) != self._ports:
            self.refuse()
        self._ports += 1

    def _take_edge(self, attributes: dict[str, str]) -> None:
        inputs, port = self._sources[attributes["to-layer"]], _whole(attributes["to-port"])
        if port in inputs:
            self.refuse()
        inputs[port] = attributes["from-layer"]

    def end(self, _tag: str) -> None:
        """See an element end."""
        self._open.pop()

    def refuse(self, *_: object) -> NoReturn:
        """See what no graph has."""
        raise ValueError(_NONE)

    def operations(self) -> list[Operation]:
        """Return what was seen."""
        return [
            Operation(
                name,
                kind,
                tuple(self._sources[name][port] for port in sorted(self._sources[name])),
                self._numbers.get(name, 0),
                self._types.get(name, ""),
                self._places.get(name, slice(0)),
            )
            for name, kind in self._kinds.items()
        ]


def _list(text: str) -> list[int]:
    return [_whole(part) for one in text.split(",") if (part := one.strip())]


def _whole(text: str) -> int:
    """Read a number, as everybody reads it."""
    if not re.fullmatch(r"0|[1-9][0-9]{0,17}", text):
        raise ValueError(_NONE)
    return int(text)
