"""What an evaluation found, as tables for people."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from streamline.evaluate.figures import Summary
from streamline.evaluate.published import Comparison
from streamline.evaluate.report import Evaluation

__all__ = ["TITLES", "Table", "evaluation_tables", "figure_text"]

TITLES = {
    "image_auroc": "image AUROC",
    "pixel_auroc": "pixel AUROC",
    "pro": "PRO",
    "fit_s": "fit s",
    "fps": "fps",
    "model_bytes": "model MB",
    "n": "n",
    "k": "k",
}
"""What people call a figure, by its name in `Figures`."""

_DECIMALS = {
    "image_auroc": 4,
    "pixel_auroc": 4,
    "pro": 4,
    "fit_s": 1,
    "model_bytes": 1,
    "ms": 1,
    "error": 4,
    "relative_error": 4,
    "angle": 1,
    "angle_half": 1,
    "gap": 4,
    "gap_half": 4,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells as they are to be read."""

    head: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    words: frozenset[int] = frozenset({0})
    """Columns that hold words, not figures."""


def evaluation_tables(result: Evaluation) -> list[Table]:
    """Lay out the figures of each category and seed, then how they compare with the papers'."""
    tables = [Table(head=("category", *TITLES.values()), rows=list(_rows(result)))]
    papers = [
        *(row for name in result.categories for row in _papers(name, result.comparisons(name))),
        *_papers("mean", result.mean_comparisons()),
    ]
    if papers:
        head = ("against the papers", "", "here", "paper", "difference", "the paper's was got with")
        tables.append(Table(head=head, rows=papers, words=frozenset({0, 1, 5})))
    return tables


def figure_text(name: str, value: float | None) -> str:
    """Write a figure as people read it; a dash where there is none."""
    if value is None:
        return "-"
    shown = value / 1e6 if name == "model_bytes" else value
    return f"{shown:.{_DECIMALS.get(name, 0)}f}"


def _rows(result: Evaluation) -> Iterator[Sequence[str]]:
    for name, runs in result.categories.items():
        if len(runs) == 1:
            yield (name, *_cells(result.summary(name)))
            continue
        for seed, one in runs.items():
            yield (f"{name}, seed {seed}", *_cells(asdict(one.figures)))
        yield (f"{name}, mean", *_cells(result.summary(name)))
        yield (f"{name}, spread", *_cells(result.spread(name)))
    if len(result.categories) > 1:
        yield ("mean", *_cells(result.mean()))


def _cells(figures: Summary) -> list[str]:
    return [figure_text(name, figures[name]) for name in TITLES]


def _papers(category: str, comparisons: Sequence[Comparison]) -> Iterator[Sequence[str]]:
    for one in comparisons:
        numbers = [figure_text(one.figure, value) for value in (one.here, one.paper)]
        sign = "-" if one.difference < 0 else "+"
        difference = f"{sign}{figure_text(one.figure, abs(one.difference))}"
        got_with = one.source if one.same_backbone else f"{one.source} (another backbone)"
        yield (category, TITLES[one.figure], *numbers, difference, got_with)
