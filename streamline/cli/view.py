"""What a line looks at, as options: a part of the picture, and what is masked of it."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamline.config import AnySource
    from streamline.mask import Mask

__all__ = ["MaskOption", "RegionOption", "parse_mask", "parse_roi"]

RegionOption = Annotated[
    str | None,
    typer.Option(metavar="X,Y,W,H", help="Part of the picture, px, as the line has it."),
]

MaskOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="'X,Y X,Y X,Y…'",
        help="Corners of a polygon that is not judged, px of the full picture; may be repeated.",
    ),
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


def parse_mask(
    texts: "Sequence[str] | None",
    sources: "Sequence[AnySource]",
    roi: tuple[int, int, int, int] | None,
) -> "Mask | None":
    """Read polygons; without a region, the size of the first source's pictures is looked at.

    Raises
    ------
    InputError
        If one is none, or lies outside, or all is covered.
    """
    from streamline.errors import InputError
    from streamline.learn import view_of
    from streamline.mask import Mask

    if not texts:
        return None
    polygons = tuple(_corners(text) for text in texts)
    try:
        return Mask.of_pixels(polygons, view_of(sources[0], roi))
    except ValueError as exc:
        msg = f"--mask: {exc}"
        raise InputError(msg) from exc


def _corners(text: str) -> tuple[tuple[float, float], ...]:
    from streamline.errors import InputError

    try:
        pairs = [tuple(float(part) for part in pair.split(",")) for pair in text.split()]
        corners = tuple((x, y) for x, y in pairs)
    except ValueError:
        corners = ()
    if len(corners) < 3:
        msg = f"--mask must be 'X,Y X,Y X,Y' with three corners or more, got {text!r}"
        raise InputError(msg)
    return corners
