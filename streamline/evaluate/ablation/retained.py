"""How little the share of variance retained matters: FRE, figure 2, middle and right."""

from collections.abc import Sequence
from typing import Final

from streamline.evaluate.ablation.network import (
    compared_layers,
    open_network,
    subspace_settings,
)
from streamline.evaluate.ablation.pick import Pick
from streamline.evaluate.ablation.pivot import pivot_lines, pivot_table
from streamline.evaluate.ablation.result import Ablation, Row, Variant
from streamline.evaluate.ablation.study import study_layers
from streamline.evaluate.page import Chart
from streamline.evaluate.plan import PlannedRun
from streamline.evaluate.tables import TITLES
from streamline.learn import AnyFitSettings
from streamline.progress import Progress

__all__ = ["RETAINED", "ablate_retained"]

RETAINED: Final = (0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99, 0.995)

_QUALITY: Final = ("image_auroc", "pixel_auroc", "pro")


def ablate_retained(
    runs: Sequence[PlannedRun], asked: AnyFitSettings, progress: Progress, /
) -> Ablation:
    """Fit every layer with every share of the variance, singly and as the model fuses them.

    No rank is limited, and the share asked for plays no part.

    Raises
    ------
    InputError
        If another method was asked for, or an image or a mask can't be read.
    """
    chosen = subspace_settings(asked)
    net = open_network(chosen, (*chosen.score_layers, *chosen.map_layers))
    settings = chosen.resolved()
    layers = compared_layers(net, (*settings.score_layers, *settings.map_layers))
    picks = [Pick((layer,), (layer,)) for layer in layers]
    picks.append(Pick(settings.score_layers, settings.map_layers))
    rows = []
    for run in runs:
        study = study_layers(run.category, net, layers, RETAINED, settings.compute, progress)
        for done, pick in enumerate(picks, start=1):
            for share in RETAINED:
                variant: Variant = {"layers": pick.name, "retain": share}
                rows.append(Row(run=run, variant=variant, figures=study.figures(pick, share)))
            progress("variants", done, len(picks))
    return Ablation(
        title="Retained variance",
        text=(
            "Image AUROC, pixel AUROC and PRO against the share of variance that the subspace "
            "retains, layer by layer; means over the categories. FRE, figure 2, middle and right."
        ),
        rows=rows,
        tables=[
            pivot_table(rows, figure, title=TITLES[figure], down="layers", across="retain")
            for figure in (*_QUALITY, "k")
        ],
        charts=[_chart(rows, figure) for figure in _QUALITY],
        setup={"backbone": settings.backbone, "precision": net.precision},
    )


def _chart(rows: Sequence[Row], figure: str) -> Chart:
    return Chart(
        title=TITLES[figure],
        x_label="retained variance",
        y_label=TITLES[figure],
        lines=pivot_lines(rows, figure, label="layers", x="retain"),
    )
