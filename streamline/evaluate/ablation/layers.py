"""Which layers tell most: FRE, table 8, and one layer against three (tables 5 to 7)."""

from collections.abc import Sequence
from typing import Final

from streamline.evaluate.ablation.network import (
    compared_layers,
    open_network,
    subspace_settings,
)
from streamline.evaluate.ablation.pick import Pick, neighbours
from streamline.evaluate.ablation.pivot import layer_chart, variant_table
from streamline.evaluate.ablation.result import Ablation, Row
from streamline.evaluate.ablation.study import study_layers
from streamline.evaluate.plan import PlannedRun
from streamline.evaluate.published import MEAN, published_tables
from streamline.evaluate.tables import TITLES, Table, figure_text
from streamline.learn import AnyFitSettings, FitSettings
from streamline.progress import Progress

__all__ = ["ablate_layers"]

_SHOWN: Final = ("image_auroc", "pixel_auroc", "pro", "k")
_PRINTED: Final = ("pixel_auroc", "pro")
"""What the paper's table 8 has."""


def ablate_layers(
    runs: Sequence[PlannedRun], asked: AnyFitSettings, progress: Progress, /
) -> Ablation:
    """Measure every layer by itself, every two and three neighbours, and the model's own choice.

    Each with the share of the variance asked for, no rank limited.

    Raises
    ------
    InputError
        If another method was asked for, or an image or a mask can't be read.
    """
    chosen = subspace_settings(asked)
    net = open_network(chosen, (*chosen.score_layers, *chosen.map_layers))
    settings = chosen.resolved()
    layers = compared_layers(net, (*settings.score_layers, *settings.map_layers))
    picks = _picks(layers, settings)
    rows = []
    for run in runs:
        study = study_layers(
            run.category, net, layers, [settings.retain], settings.compute, progress
        )
        for done, pick in enumerate(picks, start=1):
            figures = study.figures(pick, settings.retain)
            variant = {"layers": pick.name}
            rows.append(Row(run=run, variant=variant, figures=figures))
            progress("variants", done, len(picks))
    return Ablation(
        title="Layers",
        text=(
            "Means over the categories. FRE's table 8 has layers 1 to 4 of ResNet-50, means over "
            "MVTec AD's fifteen categories."
        ),
        rows=rows,
        tables=[_table(rows, settings.backbone)],
        charts=[layer_chart(rows, "layers", layers)],
        setup={
            "backbone": settings.backbone,
            "precision": net.precision,
            "retain": settings.retain,
        },
    )


def _picks(layers: Sequence[str], settings: FitSettings) -> list[Pick]:
    alike = [Pick(run, run) for run in neighbours(layers)]
    own = Pick(settings.score_layers, settings.map_layers)
    return alike if own in alike else [*alike, own]


def _table(rows: Sequence[Row], backbone: str) -> Table:
    """Lay out the means, with the paper's beside them if they are of a network like its own."""
    here = variant_table(rows, "layers", _SHOWN)
    names = [row[0] for row in here.rows]
    printed = {
        f"{TITLES[figure]}, paper, resnet50, 15 categories": [
            figure_text(figure, _printed(name, figure)) for name in names
        ]
        for figure in _PRINTED
        if "resnet" in backbone and any(_printed(name, figure) is not None for name in names)
    }
    return Table(
        head=(*here.head, *printed),
        rows=[(*row, *beside) for row, *beside in zip(here.rows, *printed.values(), strict=True)],
    )


def _printed(layer: str, figure: str) -> float | None:
    """Look up what the paper prints of a layer of that name."""
    known = (one for one in published_tables("fre", "mvtec") if one.layer == layer)
    return next((one.value(MEAN) for one in known if one.figure == figure), None)
