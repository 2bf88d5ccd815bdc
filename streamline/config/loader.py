"""From a pipeline file to a `Pipeline`, or to all of the file's mistakes at once."""

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from streamline.config.conflicts import conflicts, learnt_twice
from streamline.config.defaults import Filled, fill_defaults
from streamline.config.document import Document, KeyPath, Plain, parse
from streamline.config.expand import expand
from streamline.config.explain import explain, shown
from streamline.config.schema import Pipeline, json_schema
from streamline.errors import ConfigError
from streamline.redact import redact_url

__all__ = ["load"]

_MAX_BYTES: Final = 256 * 1024
_MAX_EXPANDED: Final = 4 << 20
"""Characters of all texts in which variables were replaced, together: aliases repeat them."""

_MOST_TOLD: Final = 100
"""Mistakes that anybody reads."""

_schema = cache(json_schema)


def load(path: str | Path, *, variables: Mapping[str, str] | None = None) -> Pipeline:
    """Read and check one pipeline file.

    Parameters
    ----------
    path : str or Path
        The file. Relative paths in it start at its folder.
    variables : mapping of str to str, optional
        What ``${NAME}`` stands for; the environment unless given.

    Returns
    -------
    Pipeline
        With every camera's defaults filled in.

    Raises
    ------
    ConfigError
        With one line for each mistake, ``FILE:LINE: key.path: what is wrong (what is
        allowed)``, in the order of lines. No line holds a password.
    """
    file = Path(path)
    findings = _Findings(file, _read(file))
    tree = findings.tree()
    known = os.environ if variables is None else variables
    expand_in = _Variables(known, findings)
    expanded = {key: expand_in(tree[key], (key,)) for key in tree}
    name = _name_of(file)
    filled, written = fill_defaults(expanded, name), fill_defaults(tree, name)
    for key in filled.named:
        findings.add(key, "unknown key (a camera's name is its key under cameras)")
    findings.add_conflicts(filled)
    pipeline = findings.validated(filled, written)
    if pipeline is None or findings.any():
        raise findings.error()
    return pipeline


class _Findings:
    """What is wrong with one file; the first mistake at a key hides those that follow from it."""

    def __init__(self, file: Path, text: str) -> None:
        self._file = file
        self._base = Path(os.path.abspath(file)).parent  # noqa: PTH100 a link's folder is its own
        self._document: Document = parse(text)
        self._found: dict[KeyPath, tuple[int, str]] = {}
        for spot, what in self._document.mistakes:
            self._found.setdefault(spot.path, (spot.line, what))

    def any(self) -> bool:
        return bool(self._found)

    def add(self, path: KeyPath, what: str) -> None:
        self._found.setdefault(path, (self._document.spot(path).line, what))

    def tree(self) -> dict[str, Plain]:
        """Return what the file holds, or raise where there is nothing to go on with."""
        tree = self._document.tree
        if tree is None and self._found:
            raise self.error()
        if tree is None or tree == {}:
            self.add((), "holds nothing (must begin with version: 1)")
        elif not isinstance(tree, dict):
            self.add((), f"is {shown(tree)} (must be a mapping that begins with version: 1)")
        elif str(tree.get("format")).startswith("streamline-"):
            what = f"is {shown(tree['format'])}: this is part of a model, no pipeline file"
            self.add(("format",), f"{what} (give one that has the model's folder under model)")
        elif "version" not in tree:
            self.add(("version",), "is missing (write version: 1 as the first line)")
        elif tree["version"] != 1 or isinstance(tree["version"], bool):
            what = f"is {shown(tree['version'])}, but this Streamline reads version 1"
            self.add(("version",), f"{what} (install the Streamline that wrote it, or rewrite it)")
        else:
            return tree
        raise self.error()

    def add_conflicts(self, filled: Filled) -> None:
        """Tell of what two keys claim and only one can have."""
        for earlier, later in conflicts(filled.tree, self._base):
            first, path = filled.origin(earlier.path), filled.origin(later.path)
            line = self._document.spot(first).line
            self.add(path, f"wants {later.what}, which {_dotted(first)} on line {line} has already")

    def validated(self, filled: Filled, written: Filled) -> Pipeline | None:
        """Return the pipeline if all its values are right; messages show them as written."""
        lines = {_dotted(path): line for path, line in self._document.lines.items()}
        context = {"base": self._base, "file": self._file, "lines": lines}
        try:
            pipeline = Pipeline.model_validate(filled.tree, context=context)
        except ValidationError as exc:
            for path, what in islice(explain(exc, written.tree, _schema()), _MOST_TOLD + 1):
                self.add(written.origin(path), what)
            return None
        for earlier, later in learnt_twice(pipeline):
            what = (
                f"is learnt otherwise than the same model of camera {earlier!r} "
                "(write one learn: and mask:)"
            )
            self.add(filled.origin(("cameras", later, "model")), what)
        return pipeline

    def error(self) -> ConfigError:
        """Return all that was found, in the order of lines."""
        found = sorted(
            ((line, _printable(path), what) for path, (line, what) in self._found.items())
        )
        lines = [
            redact_url(": ".join(filter(None, (f"{self._file}:{line}", key, what))))
            for line, key, what in found[:_MOST_TOLD]
        ]
        if len(found) > _MOST_TOLD:
            lines.append(redact_url(f"{self._file}: and more mistakes (mend these first)"))
        return ConfigError("\n".join(lines))


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


def _printable(path: KeyPath) -> str:
    """Return a path on one line, whatever its keys hold."""
    text = _dotted(path)
    return text if text.isprintable() and len(text) <= 160 else json.dumps(text[:160])


class _Variables:
    """Replaces the variables in values; what can't be replaced is told and left as it is."""

    def __init__(self, known: Mapping[str, str], findings: _Findings) -> None:
        self._known = known
        self._findings = findings
        self._left = _MAX_EXPANDED

    def __call__(self, value: Plain, path: KeyPath) -> Plain:
        if isinstance(value, dict):
            return {key: self(value[key], (*path, key)) for key in value}
        if isinstance(value, list):
            return [self(item, (*path, i)) for i, item in enumerate(value)]
        return self._expanded(value, path) if isinstance(value, str) else value

    def _expanded(self, text: str, path: KeyPath) -> str:
        if self._left < 0:
            return text
        try:
            expanded = expand(text, self._known)
        except ValueError as exc:
            self._findings.add(path, str(exc))
            return text
        self._left -= len(expanded)
        if self._left < 0:
            self._findings.add(path, "is too large, with its variables replaced (split the file)")
        return expanded


def _name_of(file: Path) -> str:
    """Return the file's name without its ending, as a name may be."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", file.stem).lstrip("_-")[:63]
    return name or "line"


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        what = "no such file (give the path of a pipeline file)"
    except IsADirectoryError:
        what = "is a folder (give the path of a pipeline file in it)"
    except (OSError, ValueError) as exc:
        what = f"can't be read: {exc.strerror if isinstance(exc, OSError) else exc}"
    else:
        if len(content) > _MAX_BYTES:
            what = "is larger than 256 KiB (give the path of a pipeline file)"
        else:
            return _text(file, content)
    msg = redact_url(f"{file}: {what}")
    raise ConfigError(msg)


def _text(file: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
    msg = f"{file}:{line}: is no text in UTF-8 (save it as UTF-8, or give another file)"
    raise ConfigError(msg)
