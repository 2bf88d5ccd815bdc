"""The exported JSON Schema describes every key, and is where messages take their bounds from."""

from collections.abc import Iterator
from typing import Any

import pytest

from streamline.config import Camera, Pipeline, json_schema

SCHEMA = json_schema()


def objects() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every mapping that the schema describes."""
    yield "Pipeline", SCHEMA
    for name, schema in SCHEMA["$defs"].items():
        if schema.get("type") == "object":
            yield name, schema


@pytest.mark.parametrize(("name", "schema"), list(objects()))
def test_every_key_is_described_and_unknown_ones_are_refused(
    name: str, schema: dict[str, Any]
) -> None:
    assert schema["additionalProperties"] is False
    assert schema["description"], name
    for key, value in schema["properties"].items():
        if key != "type":
            # Beside a reference pydantic leaves out a description that says the same.
            referred = SCHEMA["$defs"].get(value.get("$ref", "").rpartition("/")[2], {})
            assert value.get("description") or referred.get("description"), f"{name}.{key}"


@pytest.mark.parametrize(("name", "schema"), list(objects()))
def test_every_number_has_bounds(name: str, schema: dict[str, Any]) -> None:
    for key, value in schema["properties"].items():
        for one in value.get("anyOf", [value]):
            if one.get("type") in {"integer", "number"} and "const" not in one:
                low = {"minimum", "exclusiveMinimum"} & one.keys()
                assert low, f"{name}.{key}"
                assert "maximum" in one, f"{name}.{key}"


def test_the_short_forms_are_part_of_it() -> None:
    (camera,) = SCHEMA["properties"]["cameras"]["patternProperties"].values()
    assert {"type": "string"} in camera["anyOf"]
    for key in ("source", "model"):
        assert {"type": "string"} in SCHEMA["$defs"]["Camera"]["properties"][key]["anyOf"]


def test_what_a_file_may_leave_out_is_not_required() -> None:
    assert SCHEMA["required"] == ["version", "cameras"]
    assert SCHEMA["$defs"]["Camera"]["required"] == ["source"]
    assert "name" not in SCHEMA["$defs"]["Camera"]["properties"]


def test_the_types_themselves_ask_for_all() -> None:
    with pytest.raises(ValueError, match=r"(?s)name.*model"):
        Camera.model_validate({"source": "demo://inspect"})
    with pytest.raises(ValueError, match="name"):
        Pipeline.model_validate({"version": 1, "cameras": {}})
