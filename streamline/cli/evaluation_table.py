"""What an evaluation found, as tables for people."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from streamline.cli.table import render
from streamline.evaluate import Comparison, Evaluation
from streamline.evaluate.figures import Summary

__all__ = ["evaluation_tables"]

_COLUMNS = {
    "image_auroc": ("image AUROC", 4),
    "pixel_auroc": ("pixel AUROC", 4),
    "pro": ("PRO", 4),
    "fit_s": ("fit s", 1),
    "fps": ("fps", 0),
    "model_bytes": ("model MB", 1),
    "n": ("n", 0),
    "k": ("k", 0),
}
"""Head and decimals of each figure."""


def evaluation_tables(result: Evaluation) -> Iterator[str]:
    """Yield the figures of each category and seed, then how they compare with the papers'."""
    head = ("category", *(title for title, _ in _COLUMNS.values()))
    yield render([head, *_rows(result)])
    papers = [
        *(row for name in result.categories for row in _papers(name, result.comparisons(name))),
        *_papers("mean", result.mean_comparisons()),
    ]
    if papers:
        head = ("against the papers", "", "here", "paper", "difference", "the paper's was got with")
        yield render([head, *papers], words=(0, 1, 5))


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
    return [_cell(name, figures[name]) for name in _COLUMNS]


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    shown = value / 1e6 if name == "model_bytes" else value
    return f"{shown:.{_COLUMNS[name][1]}f}"


def _papers(category: str, comparisons: Sequence[Comparison]) -> Iterator[Sequence[str]]:
    for one in comparisons:
        title, places = _COLUMNS[one.figure]
        numbers = (f"{one.here:.{places}f}", f"{one.paper:.{places}f}")
        got_with = one.source if one.same_backbone else f"{one.source} (another backbone)"
        yield (category, title, *numbers, f"{one.difference:+.{places}f}", got_with)
