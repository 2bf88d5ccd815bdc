"""What documents say of settings and metrics is what the code has."""

from pathlib import Path

import pytest

from streamline.config import json_schema
from streamline.metrics.catalogue import HELP
from tools.reference import PARTS, configuration, metrics, with_reference

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", list(PARTS))
def test_a_document_holds_the_reference_of_this_release(name: str) -> None:
    text = (ROOT / name).read_text()
    assert text == with_reference(text, PARTS[name]()), "run: python -m tools.reference"


def test_every_key_of_every_section_has_a_row() -> None:
    text, schema = configuration(), json_schema()
    sections = [schema, *(one for one in schema["$defs"].values() if "properties" in one)]
    wanted = sum(len(one["properties"]) - ("type" in one["properties"]) for one in sections)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == wanted
    assert all(len(row) == 4 and row[3].strip("| ") for row in rows)


def test_every_series_has_a_row() -> None:
    assert metrics().count("| `streamline_") == len(HELP)


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    text = "before\n<!-- made by: python -m tools.reference -->\nold\n<!-- end -->\nafter\n"
    once = with_reference(text, "new")
    assert once == text.replace("old", "new")
    assert with_reference(once, "old") == text
    with pytest.raises(ValueError, match="there is no"):
        with_reference("no marks", "new")
