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
    r"(?i)(pass(?:word|wd|phrase)?|pwd|secret|token|api_?key|credentials?)(=|%3D)([^&#\s\"'<>/,;]+)"
)
_STARS = "***"


def redact_url(text: str) -> str:
    r"""Replace the credentials of every URL in a text by ``***``.

    When in doubt it hides too much: everything between ``://`` and the last ``@`` before the
    next URL or the end of the line is taken for credentials, so that a password may hold any
    character (``@ / # ?``, blanks, quotes). ``password=…`` and its like are hidden as well,
    and so is ``user:password@host`` without a scheme.

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
    >>> redact_url("rtsp://a:1@left/x and rtsp://b:2@3@right/y?password=4&channel=1")
    'rtsp://***@left/x and rtsp://***@right/y?password=***&channel=1'
    """
    lines = (_redact_line(line) if "@" in line else line for line in text.split("\n"))
    return _FIELD.sub(rf"\1\2{_STARS}", "\n".join(lines))


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
    """Hide what stands before the last ``@`` of each URL in one line."""
    starts = list(_url_starts(line))
    if not starts:
        return _BARE.sub(f"{_STARS}@", line)
    pieces = [_BARE.sub(f"{_STARS}@", line[: starts[0][0]])]
    ends = [begin for begin, _ in starts[1:]] + [len(line)]
    for (begin, after), end in zip(starts, ends, strict=True):
        _, at, rest = line[after:end].rpartition("@")
        pieces.append(line[begin:after] + (_STARS + at if at else "") + rest)
    return "".join(pieces)


def _url_starts(line: str) -> Iterator[tuple[int, int]]:
    """Yield where each URL's scheme begins and ends."""
    for number, match in enumerate(_SCHEME.finditer(line)):
        # `x://` in the midst of a word belongs to the URL before it, perhaps to its password.
        if number == 0 or line[match.start() - 1] in _OPENERS:
            yield match.span()
