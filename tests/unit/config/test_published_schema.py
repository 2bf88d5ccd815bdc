"""The committed JSON Schema is that of this release, takes what the loader takes, and no more."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from streamline.config import load, published_schema
from streamline.errors import ConfigError

FOLDER = Path(__file__).resolve().parents[3] / "pipelines"
SCHEMA = FOLDER / "pipeline.schema.json"
FILES = sorted(FOLDER.glob("*.yaml"))
GOOD = """
version: 1
model: ./model
cameras:
  left: rtsp://inspector:${PASS}@10.0.0.7/stream1
  right:
    source: {type: rtsp, url: "rtsp://10.0.0.8/stream1", open_timeout_s: 10}
    queue: {depth: 8}
    roi: [0, 0, 64, 64]
alert:
  sinks:
    - {type: jsonl, path: alerts.jsonl}
"""


def mistakes(text: str) -> list[str]:
    """Return what a JSON Schema validator of another hand says of a file."""
    document = YAML(typ="safe", pure=True).load(text)
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    return [error.message for error in validator.iter_errors(document)]


def test_the_committed_schema_is_that_of_this_release() -> None:
    again = json.dumps(published_schema(), indent=2, ensure_ascii=False) + "\n"
    assert SCHEMA.read_text() == again, (
        "run: streamline check --schema > pipelines/pipeline.schema.json"
    )


def test_it_is_a_schema_by_the_rules_of_schemas() -> None:
    Draft202012Validator.check_schema(published_schema())


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_every_shipped_file_names_it_and_satisfies_it(file: Path) -> None:
    text = file.read_text()
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA.name}\n")
    assert mistakes(text) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("depth: 8", "depth: '${DEPTH}'"),
        ("depth: 8", "policy: '${POLICY:-block}'"),
        ("open_timeout_s: 10", "transport: '${TRANSPORT}'"),
        ("[0, 0, 64, 64]", "[0, 0, '${WIDTH}', 64]"),
        ("alert:\n  sinks:\n    - {type: jsonl, path: alerts.jsonl}", "alert:\n  # nothing yet"),
        ("model: ./model", "model: {path: m, learn: {source: 'demo://normal'}}"),
        ("queue: {depth: 8}", "queue:"),
    ],
    ids=["as-is", "number", "choice", "text", "corner", "empty", "long-form", "null"],
)
def test_what_the_loader_takes_it_takes(old: str, new: str, tmp_path: Path) -> None:
    text = GOOD.replace(old, new)
    (tmp_path / "line.yaml").write_text(text)
    variables = {"PASS": "x", "DEPTH": "9", "POLICY": "", "TRANSPORT": "udp", "WIDTH": "32"}
    assert load(tmp_path / "line.yaml", variables=variables).cameras
    assert mistakes(text) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1", "version: 2"),
        ("version: 1\n", ""),
        ("cameras:", "camera:"),
        ("depth: 8", "depth: 0"),
        ("depth: 8", "depth: 2.5"),
        ("depth: 8", "dept: 8"),
        ("depth: 8", "policy: drop_newest"),
        ("type: rtsp, ", "type: rstp, "),
        ("type: jsonl, path: alerts.jsonl", "type: jsonl"),
        ("open_timeout_s: 10", "open_timeout_s: soon"),
        ("[0, 0, 64, 64]", "[0, 0, 64]"),
        ("right:", "right camera:"),
    ],
    ids=[
        "version", "no-version", "misspelt", "bound", "fraction", "unknown-key", "policy", "source",
        "missing", "text", "rectangle", "name",
    ],
)  # fmt: skip
def test_what_the_loader_refuses_it_refuses(old: str, new: str, tmp_path: Path) -> None:
    text = GOOD.replace(old, new)
    (tmp_path / "line.yaml").write_text(text)
    with pytest.raises(ConfigError):
        load(tmp_path / "line.yaml", variables={"PASS": "x"})
    assert mistakes(text)


def test_every_key_is_shown_with_its_description() -> None:
    schema: dict[str, Any] = published_schema()
    policy = schema["$defs"]["Queue"]["properties"]["depth"]
    assert policy["description"] == "How many frames may wait."
    assert policy["default"] == 4
