"""What features are called: a layer as the network gives it, or averaged over squares."""

import re
from typing import Final, NamedTuple

from streamline.errors import ModelError

__all__ = ["Tap", "parse_tap"]

_POOLED: Final = re.compile(r"([^/]+)/([1-9][0-9]?)")


class Tap(NamedTuple):
    """Where features are taken, and what is done to them there."""

    layer: str
    """Of the network."""

    pooling: int
    """Side of the squares, without overlap, that features are averaged over; 1: as they are."""


def parse_tap(name: str, /) -> Tap:
    """Take the name of features apart.

    Parameters
    ----------
    name : str
        A layer, or ``LAYER/N``: its features averaged over squares of N by N, 2 to 99.

    Raises
    ------
    ModelError
        If it is no such name.

    Examples
    --------
    >>> parse_tap("layer3/2")
    Tap(layer='layer3', pooling=2)
    >>> parse_tap("layer3")
    Tap(layer='layer3', pooling=1)
    """
    if "/" not in name:
        return Tap(name, 1)
    found = _POOLED.fullmatch(name)
    if found is None or found[2] == "1":
        msg = (
            f"{name!r} names no features: write a layer, or LAYER/N for its features averaged over "
            "squares of N by N, 2 or more"
        )
        raise ModelError(msg)
    return Tap(found[1], int(found[2]))
