"""What the sections of a pipeline file are made of: names, paths, numbers, secrets, addresses."""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Secret,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError
from typing_extensions import override

from streamline.redact import only_host, redact_url

__all__ = [
    "NAME_PATTERN",
    "FilePath",
    "LinkAddress",
    "Milliseconds",
    "Name",
    "Rate",
    "Seconds",
    "SecretPathUrl",
    "SecretUrl",
    "Section",
    "SinkAddress",
    "Text",
    "endpoint",
    "is_loopback",
    "mistake",
    "resolve",
]

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"
_TCP: Final = re.compile(
    r"tcp://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9][A-Za-z0-9_.-]{0,252}|\*):(?P<port>[0-9]{1,5})"
)
_IPC: Final = re.compile(r"ipc://(?:/[^\s\0]{1,100}|@[^\s\0]{1,100})")


class Section(BaseModel):
    """One mapping of the pipeline file: immutable, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,  # a traceback must not show a password
        use_attribute_docstrings=True,
        validate_default=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, values: object) -> object:
        """Spoil a true or false where none belongs: pydantic would take it for 1 or 0."""
        if not isinstance(values, dict):
            return values
        flags = {key for key, field in cls.model_fields.items() if field.annotation is bool}
        return {
            key: [value] if isinstance(value, bool) and key not in flags else value
            for key, value in values.items()
        }


class SecretUrl(Secret[str]):
    """A URL that shows itself without credentials, in a repr, a text or a dump."""

    @override
    def _display(self) -> str:
        return redact_url(self.get_secret_value())


class SecretPathUrl(SecretUrl):
    """One that shows no more than its host."""

    @override
    def _display(self) -> str:
        return only_host(self.get_secret_value())


def mistake(what: str) -> PydanticCustomError:
    """Make the error that a validator raises; *what* is read by the operator as it stands."""
    return PydanticCustomError("mistake", "{what}", {"what": what})


def resolve(text: str | Path, base: Path) -> Path:
    """Return a path of the file: ``~`` expanded, relative ones starting at the folder *base*."""
    return Path(os.path.normpath(base / os.path.expanduser(text)))  # noqa: PTH111 unknown ~user stays


def endpoint(address: str) -> tuple[str, int] | None:
    """Return host and port of a ``tcp://`` address, None for another or a malformed one."""
    match = _TCP.fullmatch(address)
    return (match["host"].strip("[]"), int(match["port"])) if match else None


def is_loopback(host: str) -> bool:
    """Whether an address, or the name ``localhost``, is of this computer alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _from_file(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base")
    return path if base is None else resolve(path, base)


def _path_text(value: object) -> object:
    what = ""
    if value == "":
        what = "is empty (must be a path)"
    elif isinstance(value, str) and "\0" in value:
        what = "holds a zero byte (must be a path)"
    elif isinstance(value, str) and "://" in value:  # it may hold a password, a path may not
        what = "is an address (must be a path)"
    if what:
        raise mistake(what)
    return value


def _link(address: str) -> str:
    if address in {"inproc", "ipc"}:
        return address
    if (found := endpoint(address)) and found[0] != "*" and 0 < found[1] < 65536:
        return address
    what = "is no link address (must be inproc, ipc or tcp://HOST:PORT, port 1 to 65535)"
    raise mistake(what)


def _sink(address: str) -> str:
    if _IPC.fullmatch(address) or ((found := endpoint(address)) and 0 < found[1] < 65536):
        return address
    what = "is no address (must be tcp://HOST:PORT, port 1 to 65535, or ipc:///PATH)"
    raise mistake(what)


Seconds = Annotated[float, Field(json_schema_extra={"x-unit": "s"})]
"""A duration, s."""

Milliseconds = Annotated[float, Field(json_schema_extra={"x-unit": "ms"})]
"""A duration, ms."""

Rate = Annotated[float, Field(json_schema_extra={"x-unit": "frames per second"})]
"""A frame rate, 1/s."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""A short text."""

Name = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN),
    Field(
        json_schema_extra={
            "x-allowed": "letters, digits, - and _, starting with a letter or digit, at most 63"
        }
    ),
]
"""A name that may become a label, a socket and a file name."""

FilePath = Annotated[
    Path,
    BeforeValidator(_path_text, json_schema_input_type=str),
    AfterValidator(_from_file),
    Field(json_schema_extra={"x-allowed": "a path; relative ones start at this file's folder"}),
]
"""A path; ``~`` is the home directory, relative ones start at the pipeline file's folder."""

LinkAddress = Annotated[
    str,
    AfterValidator(_link),
    Field(json_schema_extra={"x-allowed": "inproc, ipc or tcp://HOST:PORT"}),
]
"""Where two stages meet: ``inproc``, ``ipc`` or ``tcp://host:port``."""

SinkAddress = Annotated[
    str,
    AfterValidator(_sink),
    Field(json_schema_extra={"x-allowed": "tcp://HOST:PORT or ipc:///PATH"}),
]
"""Where a publisher listens: ``tcp://host:port`` (host ``*``: every interface) or ``ipc:///path``."""
