"""The text of an OpenVINO graph, taken apart before OpenVINO may read it."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple, NoReturn
from xml.parsers import expat

__all__ = ["Operation", "operations_of"]

_MOST_OPERATIONS: Final = 50_000
_MOST_BYTES: Final = 32 << 20


_PLACES: Final[Mapping[str, Sequence[str]]] = {
    "net": [],
    "layers": ["net"],
    "edges": ["net"],
    "layer": ["net", "layers"],
    "data": ["net", "layers", "layer"],
    "edge": ["net", "edges"],
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
    """Of a constant, how many there are; else 0."""


def operations_of(graph: bytes, /) -> list[Operation]:
    """List what a graph computes, in the order in which it is written.

    Parameters
    ----------
    graph : bytes
        OpenVINO IR. What another parser may read otherwise is refused: other characters than
        ASCII, a DOCTYPE, what is told twice, and layers at any other place than the top.

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
    except (expat.ExpatError, KeyError) as exc:
        raise ValueError(_NONE) from exc
    return reader.operations()


class _Reader:
    def __init__(self) -> None:
        self._open: list[str] = []
        self._kinds: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._sources: dict[str, dict[int, str]] = {}
        self._layer = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """See an element begin."""
        self._open.append(tag)
        take = self._taking.get(tag)
        if take is None:
            return
        if self._open != [*_PLACES[tag], tag]:
            self.refuse()
        take(attributes)

    @cached_property
    def _taking(self) -> Mapping[str, Callable[[dict[str, str]], None]]:
        return {
            "net": lambda _: None,
            "layers": lambda _: None,
            "edges": lambda _: None,
            "layer": self._take_layer,
            "data": self._take_data,
            "edge": self._take_edge,
        }

    def _take_layer(self, attributes: dict[str, str]) -> None:
        self._layer = attributes["id"]
        if self._layer in self._kinds or len(self._kinds) == _MOST_OPERATIONS:
            self.refuse()
        self._kinds[self._layer] = attributes["type"]
        self._sources[self._layer] = {}

    def _take_data(self, attributes: dict[str, str]) -> None:
        if self._layer in self._numbers:
            self.refuse()
        shape = attributes.get("shape", "") if self._kinds[self._layer] == "Const" else "0"
        extents = [part.strip() for part in shape.split(",")]
        self._numbers[self._layer] = math.prod(int(one) for one in extents if one)

    def _take_edge(self, attributes: dict[str, str]) -> None:
        inputs, port = self._sources[attributes["to-layer"]], int(attributes["to-port"])
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
            )
            for name, kind in self._kinds.items()
        ]
