"""The command that measures quality on a labelled data set."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamline.evaluate import Category, Evaluation

__all__ = ["Layout", "evaluate"]


class Layout(StrEnum):
    """How a data set lies on disk."""

    MTD = "mtd"
    MVTEC = "mvtec"


def evaluate(
    root: Annotated[
        Path,
        typer.Argument(metavar="ROOT", help="The data set's folder, or one category of it."),
    ],
    *,
    layout: Annotated[
        Layout,
        typer.Option(help="mtd: magnetic tile defects; mvtec: MVTec AD and all laid out like it."),
    ],
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="mtd only: which fifth of the good tiles is tested.")
    ] = 0,
    category: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this category.")
    ] = None,
) -> None:
    """Fit to each category's normal images, score its test images, print how well that went."""
    from streamline.cli.progress import Bars
    from streamline.cli.writing import writable, write_text
    from streamline.evaluate import Evaluation, evaluate_category
    from streamline.learn import FitSettings

    if json is not None:
        writable(json)
    categories = _found(root, layout, seed, category)
    evaluated = {}
    for one in categories:
        with Bars(one.name) as bars:
            evaluated[one.name] = evaluate_category(one, FitSettings(), progress=bars)
        for warning in evaluated[one.name].warnings:
            typer.echo(f"warning: {warning}", err=True)
    result = Evaluation(
        layout=layout.value, seed=seed if layout is Layout.MTD else None, categories=evaluated
    )
    if json is not None:
        write_text(json, result.to_json())
    typer.echo(_table(result))


def _found(root: Path, layout: Layout, seed: int, category: str | None) -> "list[Category]":
    from streamline.errors import InputError
    from streamline.evaluate import mtd_category, mvtec_categories

    if layout is Layout.MVTEC:
        return mvtec_categories(root, only=category)
    if category not in {None, "mtd"}:
        msg = f"layout mtd has one category, 'mtd', not {category!r}; leave --category out"
        raise InputError(msg)
    return [mtd_category(root, seed=seed)]


def _table(result: "Evaluation") -> str:
    from dataclasses import asdict

    from streamline.cli.table import render

    head = ("category", "image AUROC", "pixel AUROC", "PRO", "fit s", "fps")
    rows = [(name, *_cells(asdict(one.figures))) for name, one in result.categories.items()]
    if len(rows) > 1:
        rows.append(("mean", *_cells(result.mean())))
    return render([head, *rows])


def _cells(figures: dict[str, float | None]) -> list[str]:
    digits = {"image_auroc": 4, "pixel_auroc": 4, "pro": 4, "fit_s": 1, "fps": 0}
    values = ((figures[name], places) for name, places in digits.items())
    return ["-" if value is None else f"{value:.{places}f}" for value, places in values]
