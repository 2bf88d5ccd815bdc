"""A pipeline file for one camera, ready to be saved: as far as looking at the camera tells."""

import json
import re
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
_NORMAL: Final = "demo://normal"
_FILE: Final = """\
# {seen}
version: 1

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
    values = _values(written, source, seen)
    lines = [f"      {key}: {_yaml(value)}" for key, value in values.items()]
    normal = next((values[key] for key in ("url", "device", "path") if key in values), _NORMAL)
    return _FILE.format(
        seen=seen,
        normal=normal,
        source="\n".join(lines),
        width=seen.width,
        height=seen.height,
    )


def _values(written: str, source: AnySource, seen: Probe) -> dict[str, str | float]:
    if isinstance(source, RtspSource):
        return {"type": "rtsp", "url": _url(written, source)}
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


def _url(written: str, source: RtspSource) -> str:
    """Return the address with a variable wherever it holds what may be a secret."""
    if "${" in written:
        return written
    parts = urlsplit(source.real_url())
    host = parts.netloc.rpartition("@")[2]
    if parts.username is not None:
        secret = "" if parts.password is None else f":${{{PASSWORD_VARIABLE}}}"
        host = f"{quote(parts.username, safe='%')}{secret}@{host}"
    # What else looks like a secret, in the query, is told by whoever hides it.
    rest = _HIDDEN.sub(_variable, redact_url(urlunsplit(parts._replace(netloc="HOST"))))
    return rest.replace("HOST", host, 1)


def _variable(hidden: re.Match[str]) -> str:
    """Return a value of the query as a variable that is called as the value is."""
    if (name := hidden["name"]) is None:
        return f"${{{PASSWORD_VARIABLE}}}"
    return f"{name}=${{CAMERA_{re.sub('[^A-Z0-9]', '_', name.upper())}}}"


def _yaml(value: str | float) -> str:
    """Write a scalar; JSON's double quotes are YAML's too."""
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", value):
        return json.dumps(value)
    return str(value)
