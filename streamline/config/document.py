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
"""Keys, values and list items, each as often as aliases repeat it; many times what 256 cameras
need."""

_TEXT: Final = 64
"""Characters of a text that count as much as a value does."""

_MAX_DEPTH: Final = 16
_LONGEST_KEY: Final = 128
_LONGEST_NUMBER: Final = 64
"""Characters; what is longer is the text that it is written as."""

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
            _read(node, document)
    return document


def _read(node: Node, document: Document) -> None:
    try:
        document.tree = _Reader(document).value(node, ())
    except _TooLargeError as exc:
        document.mistakes.append(exc.mistake)


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
    ("maximum depth", "it is nested too deeply (write it flatter)"),
    ("another document", "a second document (keep one, remove ---)"),
)
"""What the parser says, and how to put it."""


def _in_words(problem: str) -> str:
    first = problem.strip().splitlines()[0]
    return next((words for said, words in _WORDS if said in first), first)


class _TooLargeError(Exception):
    """There is more than is read of any file."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.what)
        self.mistake = mistake


class _Reader:
    """Turns YAML nodes into plain values; counts all it looks at, so that aliases can't explode."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = _MAX_VALUES
        self._depth = 0

    def value(self, node: Node, path: KeyPath) -> Plain:
        self._count(node, path)
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        self._depth += 1
        # Not the path's length: what merges itself gets no longer by it.
        if self._depth > _MAX_DEPTH:
            raise _TooLargeError(_mistake(node, path, "is nested too deeply (write it flatter)"))
        inside = (
            self._mapping(node, path)
            if isinstance(node, MappingNode)
            else self._sequence(node, path)
        )
        self._depth -= 1
        return inside

    def _count(self, node: Node, path: KeyPath) -> None:
        """Take note of what is looked at, before anything is made of it."""
        text = node.value if isinstance(node, ScalarNode) else ""
        self._left -= 1 + len(text) // _TEXT
        if self._left < 0:
            what = f"is too large: more than {_MAX_VALUES} values, aliases included (split it)"
            raise _TooLargeError(_mistake(node, path, what))

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Plain]:
        result: dict[str, Plain] = {}
        merged: list[Node] = []
        first_lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            self._count(key_node, path)
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
            brought = self.value(source, path)
            if isinstance(brought, dict):
                into.update({key: value for key, value in brought.items() if key not in into})
            else:
                self._complain(node, (*path, "<<"), "merges something that is no mapping")

    def _sequence(self, node: Node, path: KeyPath) -> list[Plain]:
        result = []
        for index, item in enumerate(node.value):
            self._document.lines.setdefault((*path, index), item.start_mark.line + 1)
            result.append(self.value(item, (*path, index)))
        return result

    def _key(self, node: Node, path: KeyPath) -> str | None:
        key = self._scalar(node, path) if isinstance(node, ScalarNode) else None
        if isinstance(key, int) and not isinstance(key, bool):
            key = str(node.value)
        if not isinstance(key, str):
            self._complain(node, path, "has a key that is no text (put it in quotes)")
            return None
        if len(key) > _LONGEST_KEY:
            # All keys on the way to a value are told with it.
            self._complain(node, path, f"has a key of more than {_LONGEST_KEY} characters")
            return None
        return key

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
        self._document.mistakes.append(_mistake(node, path, what))


def _mistake(node: Node, path: KeyPath, what: str) -> Mistake:
    return Mistake(Spot(node.start_mark.line + 1, path), what)


def _tag(node: Node) -> str:
    """Return the short name of a standard tag, the whole of another."""
    return str(node.tag).removeprefix(_TAG)


def _number(text: str, *, whole: bool) -> Plain:
    """Read a number as YAML 1.2 writes it; what Python can't hold, or print again, stays text."""
    if len(text) > _LONGEST_NUMBER:
        return text
    digits = re.sub(r"_", "", text.lower())
    try:
        if not whole:
            return float(digits.replace(".inf", "inf").replace(".nan", "nan"))
        return int(digits, 10) if digits.lstrip("+-").isdecimal() else int(digits, 0)
    except ValueError:
        return text
