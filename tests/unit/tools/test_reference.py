"""What documents say of settings and metrics is what the code has."""

import re
from pathlib import Path

import pytest

from streamline.config import json_schema
from streamline.metrics.catalogue import HELP
from tools.reference import PARTS, configuration, metrics, with_reference

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(("name", "part"), [(name, part) for name in PARTS for part in PARTS[name]])
def test_a_document_holds_the_reference_of_this_release(name: str, part: str) -> None:
    text = (ROOT / name).read_text()
    assert text == with_reference(text, part, PARTS[name][part]()), "run: python -m tools.reference"


def test_every_alert_has_an_entry_that_says_what_it_means_and_what_to_do() -> None:
    text = (ROOT / "docker/README.md").read_text()
    names = re.findall(r"- alert: (\w+)", (ROOT / "docker/prometheus/rules.yml").read_text())
    assert names
    for name in names:
        _, _, entry = text.partition(f"### {name}\n\n")
        condition, meaning, remedy, *_ = entry.split("\n\n")
        assert ": `" in condition, name
        assert len(meaning) > 20, name
        assert remedy.startswith("**What to do.** "), name


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
    marks = "<!-- {}, made by: python -m tools.reference -->\n{}\n<!-- end -->\n"
    text = f"before\n{marks.format('a', 'old')}between\n{marks.format('b', 'kept')}after\n"
    once = with_reference(text, "a", "new")
    assert once == text.replace("old", "new")
    assert with_reference(once, "a", "old") == text
    with pytest.raises(ValueError, match="there is no <!-- c, made"):
        with_reference(text, "c", "new")
