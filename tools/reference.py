"""Write what documents say of settings and metrics, from the code that has them.

``python -m tools.reference`` writes pipelines/pipeline.schema.json, the settings in
pipelines/README.md, and in docker/README.md the alerts of docker/prometheus/rules.yml and the
metrics; each stands between two marks.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from streamline.config import json_schema, published_schema
from streamline.config.explain import allowed, members
from streamline.metrics.catalogue import HELP, LABELS

__all__ = ["PARTS", "alerts", "configuration", "metrics", "rules", "schema", "with_reference"]

Schema = Mapping[str, Any]

_ROOT: Final = Path(__file__).resolve().parents[1]
_RULES: Final = _ROOT / "docker/prometheus/rules.yml"
_BEGIN: Final = "<!-- {part}, made by: python -m tools.reference -->"
_END: Final = "<!-- end -->"


def schema() -> str:
    """Return the text of the JSON Schema of pipeline files, as the command prints it."""
    return json.dumps(published_schema(), indent=2, ensure_ascii=False) + "\n"


def configuration() -> str:
    """Return a table for each section of a pipeline file."""
    root = json_schema()
    places: dict[str, list[str]] = defaultdict(list)
    _find("", root, root, places)
    parts = []
    for name, paths in places.items():
        section = root["$defs"].get(name, root)
        heading = ", ".join(f"`{path}`" for path in paths) or "The file"
        heading += _kind(section) and f" with `type: {_kind(section)}`"
        text = "" if section is root else f"{_cell(section['description'])}\n\n"
        parts.append(f"### {heading}\n\n{text}{_table(section, root)}")
    return "\n\n".join(parts)


def metrics() -> str:
    """Return a table of every series that a line exports."""
    rows = [
        f"| `{name}` | {', '.join(LABELS[name])} | {text} |" for name, text in sorted(HELP.items())
    ]
    return "\n".join(["| series | labels | what it is |", "|---|---|---|", *rows])


def rules() -> list[dict[str, Any]]:
    """Return the alerting rules, in the order of their file."""
    groups = YAML(typ="safe", pure=True).load(_RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def alerts() -> str:
    """Return an entry for each alert: when it comes, what it means, what to do."""
    entries = []
    for rule in rules():
        said = rule["annotations"]
        entries.append(
            f"### {rule['alert']}\n\n"
            f"{rule['labels']['severity'].capitalize()}{_lasting(rule)}: "
            f"`{_line(rule['expr'])}`.\n\n"
            f"{_line(said['meaning'])}\n\n"
            f"**What to do.** {_line(said['action'])}"
        )
    return "\n\n".join(entries)


def _lasting(rule: Mapping[str, Any]) -> str:
    return f", once this has held for {rule['for']}" if "for" in rule else ", as soon as this holds"


def with_reference(text: str, part: str, made: str) -> str:
    """Put what was made between the marks of a part of a document.

    Raises
    ------
    ValueError
        If the document has no such marks.
    """
    begin = _BEGIN.format(part=part)
    before, _, rest = text.partition(begin)
    _, end, after = rest.partition(_END)
    if not end:
        msg = f"there is no {begin} … {_END}"
        raise ValueError(msg)
    return f"{before}{begin}\n{made}\n{_END}{after}"


PARTS: Final[Mapping[str, Mapping[str, Callable[[], str]]]] = {
    "pipelines/README.md": {"settings": configuration},
    "docker/README.md": {"alerts": alerts, "metrics": metrics},
}
"""What is put into which document."""


def _find(path: str, section: Schema, root: Schema, places: dict[str, list[str]]) -> None:
    """Note where each kind of section stands, those that hold others first."""
    name = _name_of(section, root)
    if path and path in places[name]:
        return
    places[name] += [path] if path else []
    for key, value in section["properties"].items():
        below = f"{path}.{key}" if path else key
        for part, inner in _inner(below, value, root):
            if "properties" in inner:
                _find(part, inner, root, places)


def _inner(path: str, value: Schema, root: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield the sections that may stand at a key, with the path of each."""
    for one in members(value, root):
        if one.get("type") == "array" and isinstance(one.get("items"), dict):
            for item in members(one["items"], root):
                yield f"{path}[]", item
        for item in one.get("patternProperties", {}).values():
            for camera in members(item, root):
                yield f"{path}.NAME", camera
        yield path, one


def _kind(section: Schema) -> str:
    """Return what a kind of source or sink calls itself; nothing for other sections."""
    return str(section["properties"].get("type", {}).get("const", ""))


def _name_of(section: Schema, root: Schema) -> str:
    return next((name for name, one in root["$defs"].items() if one is section), "")


def _table(section: Schema, root: Schema) -> str:
    required = set(section.get("required", ()))
    rows = ["| key | default | allowed | what it is |", "|---|---|---|---|"]
    for key, value in section["properties"].items():
        if "const" in value and key == "type":
            continue
        default = "needed" if key in required else _default(value)
        what = _description(value, root)
        rows.append(f"| `{key}` | {default} | {_cell(_allowed(value, root))} | {_cell(what)} |")
    return "\n".join(rows)


def _allowed(value: Schema, root: Schema) -> str:
    if "x-allowed" in value:
        return str(value["x-allowed"])
    kinds = [one for one in members(value, root) if one.get("type") != "null"]
    if any("properties" in one for one in kinds):
        return "a section, below"
    if kinds[0].get("type") == "array":
        sections = any("properties" in one for one in members(kinds[0]["items"], root))
        return "a list of sections, below" if sections else "a list of texts"
    # That null is allowed stands in the column of defaults.
    return allowed({"anyOf": kinds}, root)


def _default(value: Schema) -> str:
    default = value.get("default")
    if default is None:
        return "null" if "default" in value else ""
    return "" if isinstance(default, dict | list) else f"`{json.dumps(default).strip(chr(34))}`"


def _description(value: Schema, root: Schema) -> str:
    """Return what is said of a key; pydantic leaves out what its section says already."""
    if "description" in value:
        return str(value["description"])
    return next(
        (str(one["description"]) for one in members(value, root) if "description" in one), ""
    )


def _line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _line(text).replace("``", "`").replace("|", "\\|")


def main() -> None:
    """Write all of it."""
    (_ROOT / "pipelines/pipeline.schema.json").write_text(schema())
    for name, parts in PARTS.items():
        document = _ROOT / name
        for part, make in parts.items():
            document.write_text(with_reference(document.read_text(), part, make()))


if __name__ == "__main__":
    main()
