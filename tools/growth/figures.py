"""What each size costs, for each of its units, and whether that stays what it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streamline.cli.table import render
from streamline.machine import Machine

__all__ = ["Growth", "GrowthBench", "Row"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One size."""

    size: float
    each: float
    """Cost of each unit."""

    others: float
    """Share of the processors that other work took, which counts for little in processor time."""

    more: Mapping[str, float] = field(default_factory=dict)
    """What else was seen, by what it is; the same in all rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Sizes from small to large, at least one."""

    what: str
    size: str
    """What the sizes count."""

    each: str
    """What is spent, and on what."""

    rows: Sequence[Row]
    limit: float
    """How many times its cost at the first size a unit may cost at the last."""

    @property
    def ratio(self) -> float:
        """Cost of a unit, last size ÷ first: 1 is a whole that grows as its size does."""
        return self.rows[-1].each / self.rows[0].each

    @property
    def met(self) -> bool:
        """Whether that is no more than it may be."""
        return self.ratio <= self.limit

    def table(self) -> str:
        """Return a row per size, and the verdict."""
        first = self.rows[0]
        cells = [(self.size, self.each, "÷ first", *first.more)]
        cells += [
            (
                f"{row.size:,.10g}",
                f"{row.each:.3g}",
                f"{row.each / first.each:.2f}",
                *map(_figure, row.more.values()),
            )
            for row in self.rows
        ]
        verdict = "met" if self.met else "MISSED"
        last = f"last ÷ first: {self.ratio:.2f}, wanted ≤ {self.limit:g}: {verdict}"
        return f"{self.what}\n{render(cells, words=())}\n{last}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthBench:
    """All that was measured."""

    growths: Mapping[str, Growth]
    ratios: Mapping[str, float]
    """Cost of a unit, last size ÷ first, by what grows."""

    met: bool
    others: float
    """Share of the processors that other work took, at the worst size."""

    machine: Machine
