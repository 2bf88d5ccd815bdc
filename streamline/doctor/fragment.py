"""A pipeline file for one camera, ready to be saved: as far as looking at the camera tells."""

import json
import re
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from streamline.config import AnySource, DemoSource, RtspSource, UsbSource
from streamline.doctor.cameras import by_id
from streamline.doctor.probe import Probe
from streamline.redact import redact_url

__all__ = ["PASSWORD_VARIABLE", "pipeline_for"]

PASSWORD_VARIABLE: Final = "CAMERA_PASSWORD"  # noqa: S105 - a name, no password
_HIDDEN: Final = re.compile(r"(?:(?P<name>[A-Za-z][A-Za-z0-9_.-]*)=)?\*\*\*")
_NAMED: Final = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)")
_BY_VARIABLE: Final = re.compile(r"(?:[^?&;#/=@]*=)?(?<!\$)\$\{[^}]*\}")
_AS_IN_LOGINS: Final = "%!$&'()*+,;="
_NORMAL: Final = "demo://normal"
_FILE: Final = """\
# {seen}
{variables}version: 1

# Normal product, and nothing else, for some minutes:
#   streamline fit '{normal}' --seconds 120 --every 5 --out model
model: ./model

cameras:
  camera1:                          # appears in metrics, alerts and file names
    source:
{source}
    size: [{width}, {height}]

alert:
  k: 3                              # an alert begins when 3 of the last 5 verdicts are fail
  n: 5
"""


def pipeline_for(written: str, source: AnySource, seen: Probe) -> str:
    """Return the text of a pipeline file with one camera, without its password.

    Parameters
    ----------
    written : str
        The source as it was given; where it names the password by ``${NAME}``, so does the file.
    source : AnySource
        The same, read.
    seen : Probe
        What it sends.
    """
    values = _values(source, seen)
    variables: dict[str, str] = {}
    if isinstance(source, RtspSource):
        values["url"], variables = _url(written, source)
    lines = [f"      {key}: {_yaml(value)}" for key, value in values.items()]
    normal = next((values[key] for key in ("url", "device", "path") if key in values), _NORMAL)
    return _FILE.format(
        seen=seen,
        variables=_to_be_set(variables),
        normal=normal,
        source="\n".join(lines),
        width=seen.width,
        height=seen.height,
    )


def _to_be_set(variables: dict[str, str]) -> str:
    """Write as comments which variables the file needs, without their values."""
    if not variables:
        return ""
    lines = "".join(f"#   {name}: {what}\n" for name, what in variables.items())
    return f"# Secrets are not in this file; it needs these variables of the environment:\n{lines}"


def _values(source: AnySource, seen: Probe) -> dict[str, str | float]:
    """Return a source's keys but for a camera's address."""
    if isinstance(source, RtspSource):
        return {"type": "rtsp"}
    if isinstance(source, UsbSource):
        path = Path(
            f"/dev/video{source.device}" if isinstance(source.device, int) else source.device
        )
        values: dict[str, str | float] = {"type": "usb", "device": str(by_id(path) or path)}
        values |= {"width": seen.width, "height": seen.height}
        values |= {"fourcc": seen.codec} if len(seen.codec) == 4 else {}
        return values
    if isinstance(source, DemoSource):
        return {"type": "demo", "part": source.part, "seed": source.seed, "pace": "native"}
    return {"type": source.type, "path": str(source.path.absolute())}


def _url(written: str, source: RtspSource) -> tuple[str, dict[str, str]]:
    """Return the address with a variable wherever it may hold a secret, and what each stands for.

    Loaded with the variables set it is the address that was given.
    """
    if _names_every_secret(written):
        return written, dict.fromkeys(_NAMED.findall(written), "as it was set for this command")
    parts = urlsplit(source.real_url())
    variables: dict[str, str] = {}
    host = _literal(parts.netloc.rpartition("@")[2])
    if parts.username is not None:
        secret = ""
        if parts.password is not None:
            variables[PASSWORD_VARIABLE] = "the password as it is, nothing percent-encoded"
            secret = f":${{{PASSWORD_VARIABLE}}}"
        host = f"{quote(parts.username, safe=_AS_IN_LOGINS)}{secret}@{host}"
    # What else looks like a secret is told by whoever hides it; an address itself has no blank.
    told = redact_url(urlunsplit(parts._replace(netloc="HOST"))).replace(" ", "")
    rest = _HIDDEN.sub(lambda hidden: _variable(hidden, variables), _literal(told))
    return rest.replace("HOST", host, 1), variables


def _names_every_secret(written: str) -> bool:
    """Whether an address holds variables, and nothing else that is to be hidden."""
    if not _NAMED.search(written):
        return False
    parts = urlsplit(_BY_VARIABLE.sub("", written))
    rest = urlunsplit(parts._replace(netloc="HOST"))
    return not parts.password and redact_url(rest) == rest


def _literal(text: str) -> str:
    """Write a text so that no variable is seen in it."""
    return text.replace("${", "$${")


def _variable(hidden: re.Match[str], variables: dict[str, str]) -> str:
    """Return a hidden value as a variable of its own, called as the value is, if it has a name."""
    name = hidden["name"]
    if name is None:
        called: Iterator[str] = (f"CAMERA_QUERY_{number}" for number in count(1))
        what = "what the address has in its place, as it stands there"
    else:
        plain = f"CAMERA_{re.sub('[^A-Z0-9]', '_', name.upper())}"
        called = chain([plain], (f"{plain}_{number}" for number in count(2)))
        what = f"what the address has behind {name}=, as it stands there"
    variable = next(one for one in called if one not in variables)
    variables[variable] = what
    return f"{name}=${{{variable}}}" if name else f"${{{variable}}}"


def _yaml(value: str | float) -> str:
    """Write a scalar; JSON's double quotes are YAML's too, its pairs of surrogates are not."""
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", value):
        return json.dumps(value, ensure_ascii=not value.isprintable())
    return str(value)
