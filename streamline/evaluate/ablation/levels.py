"""Which levels make the map of SGFR: figure 7, singly and combined."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from streamline.evaluate.ablation.banked import BankStudy, Batch, study_bank
from streamline.evaluate.ablation.network import bank_settings, compared_layers, open_network
from streamline.evaluate.ablation.pick import neighbours
from streamline.evaluate.ablation.pivot import layer_chart, variant_table
from streamline.evaluate.ablation.result import Ablation, Row
from streamline.evaluate.plan import PlannedRun
from streamline.learn import AnyFitSettings
from streamline.progress import Progress
from streamline.sgfr import Recipe

__all__ = ["ablate_levels"]

_SHOWN: Final = ("image_auroc", "pixel_auroc", "pro", "ms")


def ablate_levels(
    runs: Sequence[PlannedRun], settings: AnyFitSettings, progress: Progress, /
) -> Ablation:
    """Make the map of every level by itself, of every two and three neighbours, and as is.

    Raises
    ------
    InputError
        If an image or a mask can't be read.
    """
    chosen = bank_settings(settings)
    net = open_network(chosen)
    layers = compared_layers(net, chosen.recipe.layers)
    rows: list[Row] = []
    for run in runs:
        with study_bank(run.category, net, layers, chosen.compute, progress) as study:
            for recipe in _recipes(layers, chosen.recipe):
                rows.append(_measured(run, study, recipe))
                progress("variants", len(rows), None)
    return Ablation(
        title="Levels",
        text=(
            "SGFR, figure 7: the map of one level or of several, from the sub-bank that the "
            "sampling level chooses; means over the categories, ms for an image without the "
            "network."
        ),
        rows=rows,
        tables=[variant_table(rows, "levels", _SHOWN)],
        charts=[layer_chart(rows, "levels", layers)],
        setup={
            "backbone": chosen.backbone,
            "precision": net.precision,
            "recipe": asdict(chosen.recipe),
        },
    )


def _recipes(layers: Sequence[str], own: Recipe) -> Iterator[Recipe]:
    combined = dict.fromkeys([*neighbours(layers), own.map_layers])
    return (replace(own, map_layers=levels) for levels in combined)


def _measured(run: PlannedRun, study: BankStudy, recipe: Recipe) -> Row:
    judge = study.judge(recipe)
    n = len(study.category.train)

    def choose(batch: Batch) -> npt.NDArray[np.bool_]:
        return judge.sample(batch).chosen(n)

    figures = study.figures(recipe, judge, choose)
    return Row(run=run, variant={"levels": "+".join(recipe.map_layers)}, figures=figures)
