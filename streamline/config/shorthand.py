"""Sources written as one string, in the pipeline file and on the command line."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError

from streamline.config.expand import expand
from streamline.config.explain import first_reason, shown
from streamline.config.fields import mistake, resolve
from streamline.config.sources import AnySource
from streamline.errors import InputError

__all__ = ["SHORTHANDS", "SourceEntry", "parse_source"]

SHORTHANDS: Final = (
    "rtsp://HOST/STREAM, usb:NUMBER, /dev/v4l/by-id/NAME, demo://inspect, "
    "a video file, a folder of images"
)


def parse_source(text: str, base: Path) -> AnySource:
    """Read a source written as one string.

    ``rtsp://…`` and ``rtsps://…`` are network cameras; ``usb:0`` and ``/dev/…`` cameras of this
    computer; ``demo://normal`` or ``demo://inspect?seed=3`` the demonstration; an existing
    folder holds images; everything else is a video file.

    Parameters
    ----------
    text : str
        What the operator wrote; ``${NAME}`` stands for a variable of the environment.
    base : Path
        Folder where relative paths start.

    Raises
    ------
    InputError
        If the text can't be a source; credentials in it are not repeated.
    """
    written: dict[str, Any] = {}
    try:
        # As in a pipeline file: what a command line holds, everybody can read in the process list.
        written = _expand(expand(text, os.environ), base)
        return _SOURCE.validate_python(written, context={"base": base})
    except PydanticCustomError as exc:
        what = exc.message()
    except ValidationError as exc:
        what = first_reason(exc, written, _SOURCE.json_schema())
    except ValueError as exc:
        what = str(exc)
    msg = f"source {shown(text)} {what}"
    raise InputError(msg)  # outside the handlers: the cause would hold the password


def _expand(text: str, base: Path) -> dict[str, Any]:
    """Turn the short form of a source into its keys."""
    if not text.strip():
        what = f"is empty (must be {SHORTHANDS})"
        raise mistake(what)
    scheme, separator, rest = text.partition("://")
    if separator and scheme.lower() in {"rtsp", "rtsps"}:
        return {"type": "rtsp", "url": text}
    if separator and scheme == "demo":
        return _expand_demo(rest)
    if separator:
        what = f"is no known kind of address (must be {SHORTHANDS})"
        raise mistake(what)
    if text.startswith("usb:"):
        return {"type": "usb", "device": text.removeprefix("usb:")}
    if text.startswith("/dev/"):
        return {"type": "usb", "device": text}
    if re.fullmatch(r"[^/@]*:.*@.*", text):
        what = "looks like a camera's address without rtsp:// in front"
        raise mistake(what)
    return {"type": _kind_of_path(resolve(text, base)), "path": text}


def _expand_demo(text: str) -> dict[str, Any]:
    part, _, query = text.partition("?")
    try:
        options = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        what = "has an odd query (must be like demo://inspect?seed=3)"
        raise mistake(what) from None
    written = [("type", "demo"), ("part", part.rstrip("/")), *options]
    if len(dict(written)) < len(written):
        what = "says something twice, type and part included (must be like demo://inspect?seed=3)"
        raise mistake(what)
    return dict(written)


def _kind_of_path(path: Path) -> str:
    try:
        return "images" if path.is_dir() else "video"
    except (OSError, ValueError):  # a name too long, say: opening it will tell
        return "video"


def _from_shorthand(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    return _expand(value, (info.context or {}).get("base", Path()))


SourceEntry = Annotated[
    AnySource,
    BeforeValidator(_from_shorthand, json_schema_input_type=str | AnySource),
    Field(json_schema_extra={"x-allowed": f"{SHORTHANDS}, or a mapping with type and more"}),
]
"""A source as the pipeline file may write it: its keys, or one string."""

_SOURCE: Final[TypeAdapter[AnySource]] = TypeAdapter(AnySource)
