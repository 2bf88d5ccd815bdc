"""The JSON Schema of a pipeline file as it is written, for editors and other programs."""

from collections.abc import Mapping
from typing import Any, Final

from streamline.config.schema import json_schema

__all__ = ["published_schema"]

_NAME: Final = "Variable"
_VARIABLE: Final = {
    "type": "string",
    "pattern": r"\$\{",
    "description": "A value with ${NAME} or ${NAME:-default} in it, of the environment.",
}
_AS_WRITTEN: Final = ("version",)
"""Keys whose value may hold no variable."""

_BOUNDS: Final = frozenset({"enum", "const", "pattern", "minLength", "maxLength"})
_MAPPINGS: Final = ("properties", "patternProperties", "$defs")
_NULL: Final = {"type": "null"}


def published_schema() -> dict[str, Any]:
    """Return the schema that a file satisfies before its variables are put in.

    Wherever a number or a bounded text may stand, so may ``${NAME}``; and a section that holds
    nothing but comments is null, which means its defaults.
    """
    bounds = json_schema()
    schema: dict[str, Any] = {**_with_variables(bounds), "title": bounds["title"]}
    schema["$defs"][_NAME] = _VARIABLE
    # A name that no pattern takes is wrong, which pydantic leaves out.
    schema["properties"]["cameras"]["additionalProperties"] = False
    for section in (schema, schema["$defs"]["Camera"]):
        properties = section["properties"]
        for key in properties.keys() - set(section["required"]):
            properties[key] = _or(properties[key], _NULL)
    return schema


def _with_variables(node: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Let a variable stand for each scalar in a part of a schema."""
    if isinstance(node, list):
        return [_with_variables(item) for item in node]
    if not isinstance(node, dict):
        return node
    # Titles repeat the keys.
    below = {key: _below(key, value) for key, value in node.items() if key != "title"}
    return _or(below, {"$ref": f"#/$defs/{_NAME}"}) if _is_bounded_scalar(node) else below


def _below(key: str, value: Any) -> Any:  # noqa: ANN401
    if key in _MAPPINGS:
        return {
            name: one if name in _AS_WRITTEN or _is_tag(name, one) else _with_variables(one)
            for name, one in value.items()
        }
    return _with_variables(value) if isinstance(value, dict | list) else value


def _is_tag(name: str, schema: Mapping[str, Any]) -> bool:
    """Whether this is the key by which one kind of source or sink is told from others."""
    return name == "type" and "const" in schema


def _is_bounded_scalar(node: Mapping[str, Any]) -> bool:
    kind = node.get("type")
    return kind in {"integer", "number", "boolean"} or (
        kind == "string" and not _BOUNDS.isdisjoint(node)
    )


def _or(schema: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Allow something else too; what editors show stays where they look for it."""
    shown: dict[str, Any] = {
        key: schema.pop(key) for key in ("description", "default") if key in schema
    }
    return {**shown, "anyOf": [schema, other]}
