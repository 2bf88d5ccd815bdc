"""Variables of the environment in a text: ``${NAME}`` and ``${NAME:-default}``."""

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["expand"]

_VARIABLE: Final = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_INSIDE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-([^{]*))?")
_FORMS: Final = "must be ${NAME} or ${NAME:-default}; a literal ${ is written $${"


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace the variables in one text.

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
    """

    def value(match: re.Match[str]) -> str:
        if match.group() == "$${":
            return "${"
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

    return _VARIABLE.sub(value, text)
