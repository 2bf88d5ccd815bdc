"""The part of the picture that a line looks at, as an option."""

from typing import Annotated

import typer

__all__ = ["RegionOption", "parse_roi"]

RegionOption = Annotated[
    str | None,
    typer.Option(metavar="X,Y,W,H", help="Part of the picture, px, as the line has it."),
]


def parse_roi(text: str | None) -> tuple[int, int, int, int] | None:
    """Read a region of the picture.

    Raises
    ------
    InputError
        If it is none.
    """
    from streamline.errors import InputError

    if text is None:
        return None
    try:
        x, y, w, h = (int(part) for part in text.split(","))
    except ValueError:
        x, y, w, h = -1, -1, 0, 0
    if x < 0 or y < 0 or w < 1 or h < 1:
        msg = f"--roi must be X,Y,W,H in whole pixels, got {text!r}"
        raise InputError(msg)
    return x, y, w, h
