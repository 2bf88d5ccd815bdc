"""Which fits and tests a data set takes: one for each category, and for each seed that matters."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from streamline.errors import InputError
from streamline.evaluate.layouts import Category, find_categories

__all__ = ["PlannedRun", "parse_seeds", "plan_runs"]


class PlannedRun(NamedTuple):
    """One fit and test."""

    category: Category
    seed: int | None
    """That drew its test images; None where the data set itself is split."""

    @property
    def title(self) -> str:
        """Tell people which it is."""
        return self.category.name if self.seed is None else f"{self.category.name}, {self.seed}"


def plan_runs(
    root: Path, layout: str, *, seeds: Sequence[int], only: str | None = None
) -> list[PlannedRun]:
    """Find all that is to be fitted and tested, before any of it begins.

    Parameters
    ----------
    root, layout, only
        As for `find_categories`.
    seeds : sequence of int
        At least one; the first alone serves categories that come with a split.

    Raises
    ------
    InputError
        As for `find_categories`.
    """
    runs: list[PlannedRun] = []
    for seed in seeds:
        for category in find_categories(root, layout, seed=seed, only=only):
            if category.drawn:
                runs.append(PlannedRun(category, seed))
            elif seed == seeds[0]:
                runs.append(PlannedRun(category, None))
    return runs


def parse_seeds(text: str, /) -> list[int]:
    """Read ``0-4``, ``0,2,5`` or both mixed; each seed once, in order of mention.

    Raises
    ------
    InputError
        If it is anything else.

    Examples
    --------
    >>> parse_seeds("0-2,7")
    [0, 1, 2, 7]
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            msg = f"--seeds must be like 0-4 or 0,2,5, not {text!r}"
            raise InputError(msg)
        ends = int(first), int(last or first)
        if not ends[0] <= ends[1] < ends[0] + 1000:
            msg = f"--seeds {part.strip()} is no range of at most 1000 seeds, from low to high"
            raise InputError(msg)
        seeds.update(dict.fromkeys(range(ends[0], ends[1] + 1)))
    return list(seeds)
