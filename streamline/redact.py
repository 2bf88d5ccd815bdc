"""Take credentials out of a text before anybody reads it; needs only the standard library."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

__all__ = ["only_host", "redact_url"]

# Bounded, so that a long word costs linear time; `:\/\/` is how JSON may write `://`.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,31}:(?:\\?/){2}")
_OPENERS = frozenset(" \t\"'`<>([{|,;=")
_BARE = re.compile(r"[^\s/:@\"'`<>()\[\]{},;=|]{1,256}:(?![\s/])[^\s@]{1,256}@(?=[\w\[*])")
_FIELD = re.compile(
    r"(?i)("
    r"pass(?:word|wd|phrase|code)?|pwd|psw|secret|token|credentials?|(?:api|auth|access)[_-]?key|"
    r"(?<![a-z0-9])(?:auth|key|sig|signature|session(?:[_-]?id)?)"
    r")(=|%3D)([^&#\s\"'<>/,;]+)"
)
_HEADER = re.compile(r"(?i)(authorization[\"']?[ \t]*[:=])[^\r\n]+")
_BEARER = re.compile(r"(?i)\b(bearer|basic)[ \t]+[^\s\"']+")
_STARS = "***"

_HARMLESS = frozenset((
    "audio", "camera", "channel", "channelid", "codec", "compression", "enablesrtp", "fps", "h264",
    "h265", "h26x", "height", "inst", "line", "loop", "multicast", "pace", "part", "profile",
    "proto", "protocol", "quality", "real_stream", "resolution", "seed", "size", "stream",
    "streamprofile", "streamtype", "subtype", "tcp", "track", "trackid", "transport",
    "transportmode", "udp", "unicast", "vcd", "video", "videocodec", "width",
))  # fmt: skip
"""What a URL says openly: which picture is asked for, and how."""

_PLAIN = re.compile(r"[\w.+-]{0,24}[\"'`:.,)\]}>]*")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")


def redact_url(text: str) -> str:
    r"""Replace the credentials of every URL in a text by ``***``.

    When in doubt it hides too much: everything between ``://`` and the last ``@`` before the
    next URL or the end of the line is taken for credentials, so that a password may hold any
    character (``@ / # ?``, blanks, quotes).  Of a query, a fragment and what else comes as
    ``name=value``, no value is shown but of names that say which picture is asked for.
    ``password=…`` and its like are hidden without a URL as well, and so are
    ``user:password@host``, ``Authorization: …`` and what follows ``Bearer`` and ``Basic``.

    Parameters
    ----------
    text : str
        One URL, or any text.

    Returns
    -------
    str
        The text without credentials; what holds none comes back as it was.

    Examples
    --------
    >>> redact_url("cannot open rtsp://admin:p%40ss@10.0.0.7/live: refused")
    'cannot open rtsp://***@10.0.0.7/live: refused'
    >>> redact_url("rtsp://a:1@left/x and rtsp://b:2@3@right/y?sign=4&channel=1")
    'rtsp://***@left/x and rtsp://***@right/y?sign=***&channel=1'
    """
    lines = (
        _redact_line(line) if "@" in line or "/" in line else line for line in text.split("\n")
    )
    text = _HEADER.sub(rf"\1 {_STARS}", "\n".join(lines))
    return _FIELD.sub(rf"\1\2{_STARS}", _BEARER.sub(rf"\1 {_STARS}", text))


def only_host(url: str) -> str:
    """Replace all that comes after a URL's host: many services take the path for the password.

    Examples
    --------
    >>> only_host("https://hooks.example:8443/services/T0/B1/xyz?a=1")
    'https://hooks.example:8443/***'
    >>> only_host("https://plant.example")
    'https://plant.example'
    """
    parts = urlsplit(url)
    more = "/***" if parts.path.strip("/") or parts.query or parts.fragment else ""
    return redact_url(f"{parts.scheme}://{parts.netloc}{more}")


def _redact_line(line: str) -> str:
    """Hide the credentials of each URL in one line."""
    starts = list(_url_starts(line))
    if not starts:
        return _BARE.sub(f"{_STARS}@", line)
    pieces = [_BARE.sub(f"{_STARS}@", line[: starts[0][0]])]
    ends = [begin for begin, _ in starts[1:]] + [len(line)]
    for (begin, after), end in zip(starts, ends, strict=True):
        last = len(line) if end == len(line) else end - 1  # By what is there, the next one begins.
        _, at, rest = line[after:last].rpartition("@")
        shown = (_STARS + at if at else "") + _redact_rest(rest)
        pieces.append(line[begin:after] + shown + line[last:end])
    return "".join(pieces)


def _redact_rest(rest: str) -> str:
    """Hide the values in what follows a URL's credentials."""
    url = re.split(r"\s", rest, maxsplit=1)[0]
    path = re.split(r"[?&;#]", url, maxsplit=1)[0]
    query = re.sub(r"[^?&;#]+", lambda part: _value(part[0]), url[len(path) :])
    return _redact_path(path) + query + rest[len(url) :]


def _redact_path(path: str) -> str:
    """Hide a path from its first value on, which may hold what ends a part of it."""
    for part in re.finditer(r"[^/\\]+", path):
        if "=" in part[0] and (shown := _value(part[0])) != part[0]:
            return path[: part.start()] + shown
    return path


def _value(part: str) -> str:
    """Return ``name=value`` as it may be seen; a value may come without a name."""
    name, _, value = part.partition("=")
    if name.lower() in _HARMLESS and _PLAIN.fullmatch(value):
        return part
    # The padding of a value in base 64 looks like the end of a name.
    return f"{name}={_STARS}" if value.strip("=") and _NAME.fullmatch(name) else _STARS


def _url_starts(line: str) -> Iterator[tuple[int, int]]:
    """Yield where each URL's scheme begins and ends."""
    for number, match in enumerate(_SCHEME.finditer(line)):
        # `x://` in the midst of a word belongs to the URL before it, perhaps to its password.
        if number == 0 or line[match.start() - 1] in _OPENERS:
            yield match.span()
