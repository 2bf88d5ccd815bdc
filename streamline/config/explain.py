"""What pydantic found, in the words of the person who wrote the file.

What is allowed is read from the JSON Schema, so that messages and schema can't disagree.
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from streamline.config.document import KeyPath
from streamline.redact import redact_url

__all__ = ["Explained", "allowed", "explain", "first_reason", "members", "shown"]

Schema = Mapping[str, Any]

_TYPES: Final = {
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_LONGEST: Final = 60
_NAMES: Final = "names have letters, digits, - and _, begin with a letter or digit, at most 63"

Explained = tuple[KeyPath, str]
"""Where, and what is wrong there."""


def explain(error: ValidationError, tree: object, schema: Schema) -> Iterator[Explained]:
    """Yield each mistake that validation found, as key path and sentence.

    Parameters
    ----------
    error : ValidationError
        What validating the tree raised.
    tree : object
        The plain values as written, variables not expanded: a message may show them.
    schema : mapping
        JSON Schema of the root model.
    """
    for found in error.errors(include_url=False, include_input=False):
        path = _path(found, tree)
        if found["type"] in {"union_tag_invalid", "union_tag_not_found"}:
            path = (*path, "type")
        if (
            path
            and isinstance(path[-1], int)
            and _told_as_one(_subschemas(schema, path[:-1], tree))
        ):
            path = path[:-1]
        if found["loc"][-1:] == ("[key]",):
            yield path, f"can't be a name here ({_NAMES})"
        else:
            yield path, _sentence(found["type"], found["msg"], path, tree, schema)


def first_reason(error: ValidationError, tree: object, schema: Schema) -> str:
    """Return the first mistake in one sentence that begins with its key."""
    path, what = next(explain(error, tree, schema))
    return ": ".join(filter(None, (".".join(map(str, path)), what)))


def allowed(part: Schema, root: Schema) -> str:
    """Say what a part of a schema allows, as messages do."""
    phrases = [str(part["x-allowed"])] if "x-allowed" in part else map(_phrase, members(part, root))
    return _either(phrases)


def shown(value: object) -> str:
    """Return a value as a message may show it: short, on one line, without credentials."""
    if isinstance(value, str):
        return json.dumps(_without_credentials(value), ensure_ascii=False)
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list) and not (value and all(isinstance(v, int | float) for v in value)):
        return "a list" if value else "an empty list"
    if value is None:
        return "empty"
    return _short(json.dumps(value))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _without_credentials(value: str) -> str:
    head, at, tail = value.rpartition("@")
    if at:  # whatever stands before the last @ may be a password, however it is written
        scheme, separator, _ = head.partition("://")
        head = (scheme + separator if separator and scheme.isalnum() else "") + "***"
    return _short(redact_url(head + at + tail))


def _path(found: ErrorDetails, tree: object) -> KeyPath:
    """Return the keys of the file that lead to an error, without pydantic's own steps."""
    path: list[str | int] = []
    node = tree
    *_, last = found["loc"] or ("",)
    for part in found["loc"]:
        if part == "[key]":
            break
        there, below = _child(node, part)
        if there:
            node = below
        elif not (found["type"] == "missing" and part is last and isinstance(node, dict)):
            continue  # the name of a union's member
        path.append(part)
    return tuple(path)


def _sentence(kind: str, message: str, path: KeyPath, tree: object, schema: Schema) -> str:
    if kind == "extra_forbidden":
        return _unknown_key(path, tree, schema)
    found, value = _value(tree, path)
    options = _subschemas(schema, path, tree)
    if kind == "mistake":
        says_value = isinstance(value, str) and not _secret(options)
        return f"{shown(value)} {message}" if says_value else message
    if kind == "too_short" and not value:
        return "is empty (must have at least one entry)"
    must = f"must be {_either(map(_phrase, options))}"
    if not found:
        return f"is missing ({must})"
    if _secret(options):
        return f"can't be used ({must})"
    return f"is {shown(value)} ({_did_you_mean(value, options)}{must})"


def _unknown_key(path: KeyPath, tree: object, schema: Schema) -> str:
    _, holder = _value(tree, path[:-1])
    options = _subschemas(schema, path[:-1], tree)
    parents = _fitting([one for option in options for one in members(option, schema)], holder)
    known = sorted({key for parent in parents for key in parent.get("properties", ())})
    word = str(path[-1])
    sections = [key for key in known if word in _keys((*path[:-1], key), tree, schema)]
    if sections:
        return f"unknown key (known as {' or '.join(f'{key}.{word}' for key in sections)})"
    return f"unknown key ({_suggestion(word, known) or 'known here: ' + ', '.join(known)})"


def _keys(path: KeyPath, tree: object, schema: Schema) -> set[str]:
    """Return the keys that a mapping at a path may have."""
    options = _subschemas(schema, path, tree)
    return {key for option in options for key in option.get("properties", ())}


def _suggestion(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def _did_you_mean(value: object, options: Iterable[Schema]) -> str:
    words = [str(word) for option in options for word in _constants(option)]
    suggestion = _suggestion(value, words) if isinstance(value, str) else ""
    return f"{suggestion} " if suggestion else ""


def _value(tree: object, path: KeyPath) -> tuple[bool, object]:
    """Return whether something is written there, and what."""
    node = tree
    for part in path:
        there, node = _child(node, part)
        if not there:
            return False, None
    return True, node


def _child(node: object, part: str | int) -> tuple[bool, object]:
    """Return whether a mapping or list holds a key or index, and what."""
    if isinstance(node, dict):
        return part in node, node.get(part)
    if isinstance(node, list) and isinstance(part, int) and part < len(node):
        return True, node[part]
    return False, None


def _told_as_one(options: Iterable[Schema]) -> bool:
    """Whether a list is described as a whole, such as a rectangle, not item by item."""
    return any("x-allowed" in option for option in options)


def _secret(options: Iterable[Schema]) -> bool:
    return any(option.get("writeOnly") for option in options)


def _subschemas(root: Schema, path: KeyPath, tree: object) -> list[Schema]:
    """Return the schemas that the value at a path may satisfy."""
    options: list[Schema] = [root]
    for depth, part in enumerate(path):
        _, node = _value(tree, path[:depth])
        concrete = [one for option in options for one in members(option, root)]
        options = [below for one in _fitting(concrete, node) for below in _below(one, part)]
    return [
        option if "x-allowed" in option else one
        for option in options
        for one in members(option, root)
    ]


def members(schema: Schema, root: Schema) -> Iterator[Schema]:
    """Follow references and unions of a schema down to schemas of one type each."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        yield from members(root["$defs"][name], root)
    elif union := schema.get("anyOf") or schema.get("oneOf"):
        for member in union:
            yield from members(member, root)
    else:
        yield schema


def _fitting(options: list[Schema], node: object) -> list[Schema]:
    """Keep the member of a tagged union that the value's `type` names, if it names one."""
    tag = node.get("type") if isinstance(node, dict) else None
    named = [one for one in options if tag in _constants(one.get("properties", {}).get("type", {}))]
    return named or options


def _below(schema: Schema, part: str | int) -> Iterator[Schema]:
    if isinstance(part, int):
        prefix = schema.get("prefixItems", ())
        below = prefix[part] if part < len(prefix) else schema.get("items")
    else:
        others = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
        below = schema.get("properties", {}).get(part, others[0])
    if isinstance(below, dict):
        yield below


def _constants(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _phrase(schema: Schema) -> str:
    """Return what one schema allows, in words."""
    kind = str(schema.get("type", "something else"))
    if "x-allowed" in schema:
        return str(schema["x-allowed"])
    if constants := _constants(schema):
        return _either(map(str, constants))
    if kind in {"integer", "number"}:
        return _number_phrase(schema)
    if kind == "object" and (keys := list(schema.get("properties", ()))):
        return "a mapping with the keys " + ", ".join(keys)
    return _TYPES.get(kind, kind)


def _number_phrase(schema: Schema) -> str:
    words = ["a whole number" if schema["type"] == "integer" else "a number"]
    if "exclusiveMinimum" in schema:
        words.append(f"above {schema['exclusiveMinimum']:g}")
    if "minimum" in schema:
        words.append(f"from {schema['minimum']:.10g}")
    if "maximum" in schema:
        words.append(f"{'up ' if 'exclusiveMinimum' in schema else ''}to {schema['maximum']:.10g}")
    return " ".join([*words, *([schema["x-unit"]] if "x-unit" in schema else [])])


def _either(phrases: Iterable[str]) -> str:
    """Join alternatives: ``a, b or c``."""
    *first, last = dict.fromkeys(phrases) or ["something else"]
    return f"{', '.join(first)} or {last}" if first else last
