"""The networks that come with the package, in OpenVINO's own format."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from streamline.backbone.folder import MANIFEST, Backbone, at_size, precisions_in, read_folder
from streamline.errors import ModelError

__all__ = ["comes_with_package", "get", "is_shipped", "serves", "shipped_precisions"]

_FOLDER: Final = Path(__file__).parent


def is_shipped(name: str, /) -> bool:
    """Tell whether a network comes with the package."""
    return (_FOLDER / name / MANIFEST).is_file()


def comes_with_package(net: Backbone, /) -> bool:
    """Tell whether this very network comes with the package."""
    return net.xml.is_relative_to(_FOLDER)


def shipped_precisions(name: str, /) -> list[str]:
    """Tell in which precisions a network comes with the package; none if it doesn't."""
    return precisions_in(_FOLDER / name) if is_shipped(name) else []


@cache
def get(name: str = "efficientnet_lite0", precision: str = "int8", size: int = 256) -> Backbone:
    """Return a shipped network whose files are intact, for square frames of `size` px.

    Raises
    ------
    ModelError
        If there is none of that name, precision or size, or a file is not the one shipped.
    """
    if not is_shipped(name):
        names = sorted(path.parent.name for path in _FOLDER.glob(f"*/{MANIFEST}"))
        msg = f"no backbone {name!r} in this release; there are: {', '.join(names)}"
        raise ModelError(msg)
    known = shipped_precisions(name)
    if precision not in known:
        msg = f"backbone {name} comes in {' and '.join(known)}, not in {precision!r}"
        raise ModelError(msg)
    net = read_folder(_FOLDER / name, precision, cure="install Streamline again")
    return net if size == net.height else at_size(net, size)


def serves(name: str, layers: Sequence[str], precision: str | None, /) -> bool:
    """Tell whether a shipped network has these layers in this precision, or in any if None."""
    known = shipped_precisions(name)
    if not known or precision not in {None, *known}:
        return False
    return set(layers) <= set(get(name, known[0]).layers)
