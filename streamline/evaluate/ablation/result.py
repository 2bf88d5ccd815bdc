"""What an ablation gives, whatever it varies."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from streamline.evaluate.page import Chart, Section, write_html
from streamline.evaluate.plan import PlannedRun
from streamline.evaluate.tables import Table

__all__ = ["Ablation", "Row", "Variant", "average"]

Variant = Mapping[str, str | float]
"""What was varied, by what it is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one variant came to in one run."""

    run: PlannedRun
    variant: Variant

    figures: Mapping[str, float | None]
    """By name; None where it can't be measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """Figures of every variant, and how to show them."""

    title: str
    text: str
    """What was varied and where the papers do so."""

    rows: Sequence[Row]
    tables: Sequence[Table]
    charts: Sequence[Chart]
    setup: Mapping[str, object]

    def to_json(self) -> str:
        """Write rows and set-up as one JSON document."""
        rows = [
            {
                "category": row.run.category.name,
                "seed": row.run.seed,
                **row.variant,
                **row.figures,
            }
            for row in self.rows
        ]
        document = {"ablation": self.title, "rows": rows, "setup": self.setup}
        return json.dumps(document, indent=2) + "\n"

    def to_page(self) -> str:
        """Write all of it as HTML."""
        section = Section(title="Figures", text=self.text, tables=self.tables, charts=self.charts)
        return write_html(self.title, [section])


def average(rows: Sequence[Row], variant: Variant, figure: str, /) -> float | None:
    """Average a figure of a variant over the runs that have it; None if none has."""
    known = [
        value
        for row in rows
        if all(row.variant.get(name) == wanted for name, wanted in variant.items())
        and (value := row.figures.get(figure)) is not None
    ]
    return mean(known) if known else None
