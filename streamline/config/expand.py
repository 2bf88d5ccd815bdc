"""Variables of the environment in a text: ``${NAME}`` and ``${NAME:-default}``."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

__all__ = ["expand"]

_VARIABLE: Final = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_INSIDE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-([^{]*))?")
_LOGIN: Final = re.compile(r"[^/?#]*://([^/?#]*)@")
_FORMS: Final = "must be ${NAME} or ${NAME:-default}; a literal ${ is written $${"


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace the variables in one text.

    Before the ``@`` of a URL a variable holds a user or a password as it is: it is
    percent-encoded, so that it may hold any character. Everywhere else it stands as it is.

    Parameters
    ----------
    text : str
        As written in the file. ``$${`` stands for a literal ``${``.
    variables : mapping of str to str
        The environment. With ``:-`` the default is taken where the variable is unset or empty,
        as in a shell.

    Raises
    ------
    ValueError
        If a variable is unset and has no default (the message names it), or ``${`` is not
        followed by a name and ``}``. The message never holds a value.

    Examples
    --------
    >>> expand("rtsp://admin:${PASS}@${HOST:-10.0.0.7}/live", {"PASS": "x"})
    'rtsp://admin:x@10.0.0.7/live'
    >>> expand("rtsp://admin:${PASS}@10.0.0.7/live", {"PASS": "a@b/50%"})
    'rtsp://admin:a%40b%2F50%25@10.0.0.7/live'
    """
    login, unquoted = _login(text)

    def value(match: re.Match[str]) -> str:
        if match.group() == "$${":
            return "${"
        found = _value(match, variables)
        if match.start() not in login:
            return found
        return quote(found, safe=unquoted, errors="surrogateescape")

    return _VARIABLE.sub(value, text)


def _login(text: str) -> tuple[range, str]:
    """Return where user and password stand in a URL as written, and what to leave unquoted."""
    # A default may hold any character: it must not end the host's part.
    masked = _VARIABLE.sub(lambda match: "x" * len(match.group()), text)
    found = _LOGIN.match(masked)
    if not found:
        return range(0), ""
    # Without a colon of its own, one variable holds both: user:password.
    return range(*found.span(1)), "" if ":" in found[1] else ":"


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    inside = _INSIDE.fullmatch(match[1])
    if not inside or not match.group().endswith("}"):
        msg = f"has a malformed variable ({_FORMS})"
        raise ValueError(msg)
    name, default = inside.groups()
    found = variables.get(name)
    if default is not None:
        return found or default
    if found is None:
        msg = f"names the environment variable {name}, which is not set"
        msg += f" (set it, or write ${{{name}:-default}})"
        raise ValueError(msg)
    return found
