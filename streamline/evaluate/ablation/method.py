"""How autoencoders come to what principal directions give at once: FRE, figure 2, left."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from streamline.errors import InputError
from streamline.evaluate.ablation.features import extracted
from streamline.evaluate.ablation.learners import CHECKPOINTS, LEARNERS, Learnt, learn_layer
from streamline.evaluate.ablation.network import fre_settings, open_network
from streamline.evaluate.ablation.pivot import pivot_lines, pivot_table, variant_table
from streamline.evaluate.ablation.result import Ablation, Row, Variant
from streamline.evaluate.layouts import Category
from streamline.evaluate.metrics import auroc
from streamline.evaluate.page import Chart
from streamline.evaluate.plan import PlannedRun
from streamline.evaluate.tables import TITLES, Table
from streamline.fre import fuse_errors
from streamline.learn import AnyFitSettings
from streamline.learn.train import require_trainer
from streamline.progress import Progress

__all__ = ["ablate_method"]

Doubles = npt.NDArray[np.float64]
Learners = Mapping[str, Learnt]
"""What became of a layer, by the learner's name."""

_TABLES: Final = {
    "image_auroc": TITLES["image_auroc"],
    "epochs": "epochs of training",
    "relative_error": "training error / PCA's",
    "angle_half": "largest angle to PCA's leading half, °",
    "angle": "largest angle to all of PCA's directions, °",
}


_HIGHEST_DRAWN: Final = 3.0
"""Errors, against PCA's, that are drawn: the first are so large that the last could not be seen."""


def ablate_method(
    runs: Sequence[PlannedRun], asked: AnyFitSettings, progress: Progress, /
) -> Ablation:
    """Fit the score's layers by principal directions, and by training from several beginnings.

    Raises
    ------
    InputError
        If SGFR was asked for, torch is not installed, an image can't be read, or a training
        fails.
    """
    settings = fre_settings(asked).resolved()
    require_trainer(replace(settings, method="fre-ae"))
    net = open_network(settings, settings.score_layers)
    rows: list[Row] = []
    for run in runs:
        category = run.category
        with extracted(
            category, net, settings.score_layers, settings.compute, progress
        ) as features:
            try:
                layers = {
                    layer: dict(learn_layer(layer, found, settings, progress))
                    for layer, found in features.items()
                }
            except ValueError as exc:
                msg = f"{category.name}: nothing can be learnt from its images: {exc}"
                raise InputError(msg) from exc
        rows += [*_ends(run, layers), *_courses(run, layers)]
    return Ablation(
        title="Method",
        text=(
            "Linear autoencoders, free (AE) and with tied weights (AEt), on their way to the error "
            "of as many principal directions. Epochs: until the error is within the tolerance. "
            "Gap: the last eigenvalue kept over the first that is not; of the leading half: that "
            "half's last over the first not kept. The closer it is to 1, the less an error tells "
            "of the directions. Curves are means over the runs that were still training. FRE, "
            "figure 2, left."
        ),
        rows=rows,
        tables=_tables(rows, settings.score_layers),
        charts=_charts(rows, settings.score_layers),
        setup={
            "backbone": settings.backbone,
            "precision": net.precision,
            "retain": settings.retain,
            "max_rank": settings.max_rank,
            "tolerance": settings.training.tolerance,
            "batch": settings.training.batch,
            "training_seed": settings.training.seed,
        },
    )


def _ends(run: PlannedRun, layers: Mapping[str, Learners]) -> Iterator[Row]:
    """Tell how each learner ended, layer by layer and as the model fuses them."""
    for name in LEARNERS:
        for picked, figures in _picked(layers, name):
            fused = fuse_errors([layers[layer][name].errors for layer in picked])
            yield Row(
                run=run,
                variant={"layers": "+".join(picked), "method": name},
                figures={**figures, "image_auroc": _image_auroc(run.category, fused)},
            )


def _courses(run: PlannedRun, layers: Mapping[str, Learners]) -> Iterator[Row]:
    """Tell how each training went: its error after every epoch, scores after some."""
    for name in LEARNERS:
        for picked, _ in _picked(layers, name):
            learnt = [layers[layer][name] for layer in picked]
            if not any(one.curve for one in learnt):
                continue
            curve = learnt[0].curve if len(learnt) == 1 else ()
            known = {one.epoch: {"relative_error": 1 + one.excess} for one in curve}
            last = max(one.last for one in learnt)
            for epoch in sorted({*known, last, *(one for one in CHECKPOINTS if one < last)}):
                figures: dict[str, float | None] = {**known.get(epoch, {})}
                if epoch in {*CHECKPOINTS, last}:
                    fused = fuse_errors([one.errors_after(epoch) for one in learnt])
                    figures["image_auroc"] = _image_auroc(run.category, fused)
                variant: Variant = {"training": _course(name, picked), "epoch": epoch}
                yield Row(run=run, variant=variant, figures=figures)


def _picked(
    layers: Mapping[str, Learners], name: str
) -> Iterator[tuple[tuple[str, ...], Mapping[str, float | None]]]:
    """List each layer by itself, with its figures, and then all together."""
    for layer, learners in layers.items():
        yield (layer,), learners[name].figures
    if len(layers) > 1:
        yield tuple(layers), {}


def _course(name: str, layers: Sequence[str]) -> str:
    return f"{name} of {'+'.join(layers)}"


def _image_auroc(category: Category, scores: Doubles) -> float:
    return auroc(scores, np.array([sample.anomalous for sample in category.test]))


def _tables(rows: Sequence[Row], layers: Sequence[str]) -> list[Table]:
    single = [row for row in rows if row.variant.get("layers") in layers]
    return [
        *(
            pivot_table(rows, figure, title=title, down="layers", across="method")
            for figure, title in _TABLES.items()
        ),
        variant_table(single, "layers", ("k", "gap", "gap_half")),
    ]


def _charts(rows: Sequence[Row], layers: Sequence[str]) -> list[Chart]:
    """Draw how the trainings went; nothing if all directions are kept, so that none is needed."""
    fused = {_course(name, layers) for name in LEARNERS}
    close = [
        row for row in rows if (row.figures.get("relative_error") or math.inf) <= _HIGHEST_DRAWN
    ]
    scored = [row for row in rows if row.variant.get("training") in fused]
    charts = [
        Chart(
            title=_TABLES[figure],
            x_label="epoch",
            y_label=_TABLES[figure],
            lines=pivot_lines(some, figure, label="training", x="epoch"),
        )
        for figure, some in (("relative_error", close), ("image_auroc", scored))
    ]
    return [chart for chart in charts if chart.lines]
