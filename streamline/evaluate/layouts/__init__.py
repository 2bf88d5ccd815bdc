"""How published data sets lie on disk: what to fit to, what to test on, where defects are."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from streamline.evaluate.layouts.category import Category, Sample
from streamline.evaluate.layouts.folder import folder_category
from streamline.evaluate.layouts.mtd import mtd_category
from streamline.evaluate.layouts.mvtec import BTAD, MVTEC, folder_categories
from streamline.evaluate.layouts.visa import visa_categories

__all__ = ["LAYOUTS", "Category", "Sample", "find_categories"]

_Finder = Callable[[Path, int, str | None], list[Category]]

LAYOUTS: Final[Mapping[str, _Finder]] = MappingProxyType(
    {
        "mvtec": lambda root, _seed, only: folder_categories(root, MVTEC, only=only),
        "mtd": lambda root, seed, only: [mtd_category(root, seed=seed, only=only)],
        "btad": lambda root, _seed, only: folder_categories(root, BTAD, only=only),
        "visa": lambda root, _seed, only: visa_categories(root, only=only),
        "folder": lambda root, seed, only: [folder_category(root, seed=seed, only=only)],
    }
)
"""What finds the categories of a data set: of the root, the seed and the one wanted."""


def find_categories(
    root: Path, layout: str, *, seed: int = 0, only: str | None = None
) -> list[Category]:
    """Find the categories of a data set.

    Parameters
    ----------
    root : Path
        The data set's folder, or one category of it.
    layout : str
        Key of `LAYOUTS`.
    seed : int
        Draws the test's normal images where the data set has no split of its own.
    only : str, optional
        Name of the one category wanted.

    Raises
    ------
    InputError
        If there is no category, or not the one wanted, or one is incomplete.
    """
    return LAYOUTS[layout](root, seed, only)
