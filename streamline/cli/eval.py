"""The command that measures quality on a labelled data set."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from streamline.cli.device import Backend, InferDevice, compute_on
from streamline.cli.method import (
    AskedMethod,
    AskedScore,
    Backbone,
    Bank,
    Device,
    Epochs,
    Hold,
    Layers,
    MapLayers,
    Method,
    Precision,
    Retain,
    Samples,
    SamplingLevel,
    Size,
    Sparsity,
    Weights,
    fit_settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamline.evaluate import PlannedRun
    from streamline.evaluate.tables import Table
    from streamline.learn import AnyFitSettings

__all__ = ["Layout", "evaluate"]


class AblationName(StrEnum):
    """What the papers vary."""

    RETAINED = "retained"
    LAYERS = "layers"
    METHOD = "method"
    BANK = "bank"
    LEVELS = "levels"


class Layout(StrEnum):
    """How a data set lies on disk."""

    MVTEC = "mvtec"
    MTD = "mtd"
    BTAD = "btad"
    VISA = "visa"
    FOLDER = "folder"


def evaluate(  # noqa: PLR0913 - each is an option of the command
    root: Annotated[
        Path,
        typer.Argument(metavar="ROOT", help="The data set's folder, or one category of it."),
    ],
    *,
    layout: Annotated[
        Layout,
        typer.Option(
            help="mvtec: MVTec AD and all laid out like it; mtd: magnetic tile defects; btad; "
            "visa; folder: your own, good/ and a folder for each kind of defect."
        ),
    ],
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write DIR/index.html: figures, curves, best and worst maps."
        ),
    ] = None,
    ablation: Annotated[
        AblationName | None,
        typer.Option(
            help="Vary one thing as the papers do, instead: retained, method (FRE figure 2), "
            "layers (FRE table 8), bank (SGFR figures 5 and 6), levels (SGFR figure 7)."
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="S",
            help="Which fifths of the good images are tested, one after the other: 0-4, or 0,2,5; "
            "0 if not given. For data that come without a split.",
        ),
    ] = None,
    category: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this category.")
    ] = None,
    backbone: Backbone = None,
    precision: Precision = None,
    weights: Weights = None,
    size: Size = None,
    infer_device: InferDevice = None,
    backend: Backend = None,
    layers: Layers = None,
    map_layers: MapLayers = None,
    retain: Retain = None,
    method: AskedMethod = Method.FRE_PCA,
    epochs: Epochs = None,
    device: Device = None,
    sampling_level: SamplingLevel = None,
    samples: Samples = None,
    sparsity: Sparsity = None,
    score_by: AskedScore = None,
    bank: Bank = None,
    hold: Hold = None,
) -> None:
    """Fit to each category's normal images, score its test images, print how well that went."""
    from streamline.cli.table import render
    from streamline.cli.writing import writable, write_text

    index = None if page is None else page / "index.html"
    for file in (json, index):
        if file is not None:
            writable(file)
    settings = fit_settings(
        method,
        {
            "backbone": backbone,
            "precision": precision,
            "weights": weights,
            "size": size,
            "compute": compute_on(infer_device, backend),
        },
        {
            "layers": layers,
            "map-layers": map_layers,
            "retain": retain,
            "hold": hold,
            "epochs": epochs,
            "device": device,
            "sampling-level": sampling_level,
            "samples": samples,
            "sparsity": sparsity,
            "score-by": score_by,
            "bank": bank,
        },
    )
    settings.require_valid()
    runs = _planned(root, layout, seeds, category)
    found = (
        _evaluated(runs, layout, settings)
        if ablation is None
        else _ablated(runs, ablation, settings)
    )
    write_text(json, found.json())
    if index is not None:
        write_text(index, found.page())
    tables = [render([one.head, *one.rows], words=one.words) for one in found.tables]
    typer.echo("\n\n".join(tables))


class _Found(NamedTuple):
    """What a run of the command ends with."""

    tables: "Sequence[Table]"
    json: "Callable[[], str]"
    page: "Callable[[], str]"


def _planned(
    root: Path, layout: Layout, seeds: str | None, category: str | None
) -> "list[PlannedRun]":
    from streamline.evaluate import parse_seeds, plan_runs

    wanted = [0] if seeds is None else parse_seeds(seeds)
    runs = plan_runs(root, layout.value, seeds=wanted, only=category)
    if seeds is not None and all(run.seed is None for run in runs):
        _warn(f"the data come with a split of their own, so --seeds {seeds} changes nothing")
    return runs


def _evaluated(runs: "Sequence[PlannedRun]", layout: Layout, settings: "AnyFitSettings") -> _Found:
    from streamline.cli.progress import Bars
    from streamline.evaluate import Evaluated, Evaluation, evaluate_category
    from streamline.evaluate.page import evaluation_page
    from streamline.evaluate.tables import evaluation_tables

    categories: dict[str, dict[int | None, Evaluated]] = {}
    for run in runs:
        with Bars(run.title) as bars:
            one = evaluate_category(run.category, settings, progress=bars)
        of_category = categories.setdefault(run.category.name, {})
        for warning in () if of_category else one.warnings:
            _warn(warning)
        of_category[run.seed] = one
    result = Evaluation(layout=layout.value, categories=categories)
    return _Found(evaluation_tables(result), result.to_json, partial(evaluation_page, result))


def _ablated(
    runs: "Sequence[PlannedRun]", ablation: AblationName, settings: "AnyFitSettings"
) -> _Found:
    from streamline.cli.progress import Bars
    from streamline.evaluate.ablation import ABLATIONS

    with Bars(ablation.value) as bars:
        result = ABLATIONS[ablation.value](runs, settings, bars)
    return _Found(result.tables, result.to_json, result.to_page)


def _warn(warning: str) -> None:
    typer.echo(f"warning: {warning}", err=True)
