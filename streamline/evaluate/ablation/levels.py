"""Which levels make the map of SGFR: figure 7, singly and combined."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from streamline.evaluate.ablation.banked import BankStudy, bank_rows, bank_setup
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
    recipes = _recipes(layers, chosen.recipe)
    rows = bank_rows(runs, chosen, net, layers, partial(_rows, recipes=recipes), progress)
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
        setup=bank_setup(chosen, net),
    )


def _recipes(layers: Sequence[str], own: Recipe) -> list[Recipe]:
    combined = dict.fromkeys([*neighbours(layers), own.map_layers])
    return [replace(own, map_layers=levels) for levels in combined]


def _rows(run: PlannedRun, study: BankStudy, recipes: Sequence[Recipe]) -> Iterator[Row]:
    for recipe in recipes:
        judge = study.judge(recipe)
        figures = study.figures(recipe, judge, study.by_pursuit(judge))
        yield Row(run=run, variant={"levels": "+".join(recipe.map_layers)}, figures=figures)
