"""YAML text as plain values that remember the line each was written on; nothing in it can run."""

import re
import warnings
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

__all__ = ["Document", "KeyPath", "Mistake", "Plain", "Spot", "parse"]

Plain: TypeAlias = "dict[str, Plain] | list[Plain] | str | int | float | bool | None"
KeyPath: TypeAlias = "tuple[str | int, ...]"

_TAG: Final = "tag:yaml.org,2002:"
_MAX_VALUES: Final = 20_000
_MAX_DEPTH: Final = 24
_TRUE: Final = frozenset({"true", "yes", "on", "y"})


class Spot(NamedTuple):
    """Where something is written."""

    line: int
    """Counted from 1."""

    path: KeyPath
    """Keys and list indices from the top."""


class Mistake(NamedTuple):
    """One thing that is wrong with the file."""

    spot: Spot
    what: str
    """What is wrong, and what is allowed."""


@dataclass(kw_only=True)
class Document:
    """One YAML file as written."""

    tree: Plain = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    """Line of each key and list item."""

    mistakes: list[Mistake] = field(default_factory=list)
    """What is wrong with the YAML itself: syntax, keys written twice, odd tags."""

    def spot(self, path: KeyPath) -> Spot:
        """Return where a key is written, or else the nearest key above it."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        return Spot(self.lines.get(known, 1), path)


def parse(text: str) -> Document:
    """Read one YAML document; what is wrong with it stands in its `mistakes`."""
    document = Document()
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = _MAX_DEPTH
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an anchor used twice is legal YAML
            node = yaml.compose(text)
    except YAMLError as exc:
        document.mistakes.append(_syntax_mistake(exc, text))
    except (RecursionError, ValueError, AttributeError, AssertionError) as exc:
        # The parser stumbles over some hostile texts instead of refusing them.
        what = f"is no valid YAML ({type(exc).__name__} in the parser)"
        document.mistakes.append(Mistake(Spot(1, ()), what))
    else:
        if node is not None:
            document.tree = _Reader(document).value(node, ())
    return document


def _syntax_mistake(exc: YAMLError, text: str) -> Mistake:
    """Say what the parser found, without the excerpt it quotes: that may hold a password."""
    if isinstance(exc, ReaderError):
        position = exc.position if isinstance(exc.position, int) else 0
        line = text.count("\n", 0, position) + 1
        return Mistake(Spot(line, ()), "holds a character that YAML doesn't allow")
    mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
    problem = exc.problem if isinstance(exc, MarkedYAMLError) else None
    line = mark.line + 1 if mark else 1
    return Mistake(Spot(line, ()), f"is no valid YAML: {_in_words(problem or 'cannot be read')}")


_WORDS: Final = (
    (r"'\t'", "a tab can't indent or start a value (use blanks)"),
    ("mapping values are not allowed", "a ':' where no key can be (indent it, or quote the value)"),
    ("expected <block end>", "the indentation doesn't fit the lines above"),
    ("could not find expected ':'", "a key without ':'"),
    ("stream end", "something is opened and never closed"),
    ("expected ',' or", "a ',' or a closing bracket is missing (quote a value that holds { or [)"),
    ("another document", "a second document (keep one, remove ---)"),
)
"""What the parser says, and how to put it."""


def _in_words(problem: str) -> str:
    first = problem.strip().splitlines()[0]
    return next((words for said, words in _WORDS if said in first), first)


class _Reader:
    """Turns YAML nodes into plain values; counts them, so that aliases can't explode."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = _MAX_VALUES
        self._full = False

    def value(self, node: Node, path: KeyPath) -> Plain:
        self._left -= 1
        if self._left < 0 or len(path) > _MAX_DEPTH:
            if not self._full:
                self._complain(node, path, "is nested too deeply or too large")
            self._full = True
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return self._sequence(node, path)
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Plain]:
        result: dict[str, Plain] = {}
        merged: list[Node] = []
        first_lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if _tag(key_node) == "merge":
                merged.append(value_node)
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            line = key_node.start_mark.line + 1
            if key in first_lines:
                what = (
                    f"is written twice, first on line {first_lines[key]} (keep one, or rename it)"
                )
                self._document.mistakes.append(Mistake(Spot(line, (*path, key)), what))
                continue
            first_lines[key] = line
            self._document.lines.setdefault((*path, key), line)
            result[key] = self.value(value_node, (*path, key))
        for source in merged:
            self._merge(source, path, result)
        return result

    def _merge(self, node: Node, path: KeyPath, into: dict[str, Plain]) -> None:
        """Add what ``<<: *anchor`` brings, where it is not written beside it."""
        sources = node.value if isinstance(node, SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, MappingNode):
                self._complain(node, (*path, "<<"), "merges something that is no mapping")
                continue
            brought = self.value(source, path)
            if isinstance(brought, dict):
                into.update({key: value for key, value in brought.items() if key not in into})

    def _sequence(self, node: SequenceNode, path: KeyPath) -> list[Plain]:
        result = []
        for index, item in enumerate(node.value):
            self._document.lines.setdefault((*path, index), item.start_mark.line + 1)
            result.append(self.value(item, (*path, index)))
        return result

    def _key(self, node: Node, path: KeyPath) -> str | None:
        key = self._scalar(node, path) if isinstance(node, ScalarNode) else None
        if isinstance(key, str):
            return key
        if isinstance(key, int) and not isinstance(key, bool):
            return str(node.value)
        self._complain(node, path, "has a key that is no text (put it in quotes)")
        return None

    def _scalar(self, node: Node, path: KeyPath) -> Plain:
        text, tag = str(node.value), _tag(node)
        if tag in {"str", "timestamp", "value"}:
            return text
        if tag == "null":
            return None
        if tag == "bool":
            return text.lower() in _TRUE
        if tag in {"int", "float"}:
            return _number(text, whole=tag == "int")
        self._complain(node, path, f"has the tag {node.tag}, which has no meaning here")
        return None

    def _complain(self, node: Node, path: KeyPath, what: str) -> None:
        self._document.mistakes.append(Mistake(Spot(node.start_mark.line + 1, path), what))


def _tag(node: Node) -> str:
    """Return the short name of a standard tag, the whole of another."""
    return str(node.tag).removeprefix(_TAG)


def _number(text: str, *, whole: bool) -> Plain:
    """Read a number as YAML 1.2 writes it; what Python can't hold stays text."""
    digits = re.sub(r"_", "", text.lower())
    try:
        if not whole:
            return float(digits.replace(".inf", "inf").replace(".nan", "nan"))
        return int(digits, 10) if digits.lstrip("+-").isdecimal() else int(digits, 0)
    except ValueError:
        return text
