"""Numbers among a tool's options; argparse tells in a sentence what they must be."""

from argparse import ArgumentTypeError
from contextlib import suppress
from math import inf

__all__ = ["above_zero", "from_one_on"]


def above_zero(text: str) -> float:
    """Read a number such as seconds or a rate."""
    with suppress(ValueError):
        if 0 < (value := float(text)) < inf:
            return value
    msg = f"{text!r} must be a number above 0"
    raise ArgumentTypeError(msg)


def from_one_on(text: str) -> int:
    """Read how many times."""
    with suppress(ValueError):
        if (value := int(text)) > 0:
            return value
    msg = f"{text!r} must be a whole number from 1 on"
    raise ArgumentTypeError(msg)
