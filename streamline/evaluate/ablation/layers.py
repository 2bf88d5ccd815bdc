"""Which layers tell most: FRE, table 8, and one layer against three (tables 5 to 7)."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from streamline.evaluate.ablation.network import open_network
from streamline.evaluate.ablation.result import Ablation, Row, average
from streamline.evaluate.ablation.study import Pick, study_layers
from streamline.evaluate.page import Chart, Line
from streamline.evaluate.plan import PlannedRun
from streamline.evaluate.published import MEAN, published_tables
from streamline.evaluate.tables import TITLES, Table, figure_text
from streamline.learn import FitSettings, Progress

__all__ = ["ablate_layers"]

_SHOWN: Final = ("image_auroc", "pixel_auroc", "pro", "k")
_PRINTED: Final = {"pixel AUROC": "pixel_auroc", "PRO": "pro"}
"""Columns of the paper's table 8."""


def ablate_layers(
    runs: Sequence[PlannedRun], settings: FitSettings, progress: Progress, /
) -> Ablation:
    """Measure every layer by itself, every two and three neighbours, and the model's own choice.

    Each with `settings.retain` of the variance, no rank limited.

    Raises
    ------
    InputError
        If an image or a mask can't be read.
    """
    net = open_network(settings)
    settings = settings.resolved()
    picks = list(_picks(list(net.layers), settings))
    rows = []
    for run in runs:
        study = study_layers(run.category, net, [settings.retain], settings.compute, progress)
        for done, pick in enumerate(picks, start=1):
            figures = study.figures(pick, settings.retain)
            variant = {"layers": pick.name}
            rows.append(Row(run=run, variant=variant, figures=figures))
            progress("variants", done, len(picks))
    layers = list(net.layers)
    return Ablation(
        title="Layers",
        text=(
            "Means over the categories. FRE's table 8 has layers 1 to 4 of ResNet-50, means over "
            "MVTec AD's fifteen categories."
        ),
        rows=rows,
        tables=[_table(rows, [pick.name for pick in picks])],
        charts=[_chart(rows, layers)],
        setup={
            "backbone": settings.backbone,
            "precision": net.precision,
            "retain": settings.retain,
        },
    )


def _picks(layers: Sequence[str], settings: FitSettings) -> Iterator[Pick]:
    runs = [
        *((layer,) for layer in layers),
        *pairwise(layers),
        *zip(layers, layers[1:], layers[2:], strict=False),
    ]
    yield from (Pick(run, run) for run in runs)
    own = Pick(settings.score_layers, settings.map_layers)
    if own.score != own.maps or own.score not in runs:
        yield own


def _table(rows: Sequence[Row], names: Sequence[str]) -> Table:
    """Lay out the means, with the paper's beside them where it has layers of these names."""
    printed = {
        f"paper's resnet50 {title}": [figure_text(figure, _printed(name, figure)) for name in names]
        for title, figure in _PRINTED.items()
        if any(_printed(name, figure) is not None for name in names)
    }
    here = {
        TITLES[figure]: [
            figure_text(figure, average(rows, {"layers": name}, figure)) for name in names
        ]
        for figure in _SHOWN
    }
    columns = {"layers": names, **here, **printed}
    return Table(head=tuple(columns), rows=list(zip(*columns.values(), strict=True)))


def _printed(layer: str, figure: str) -> float | None:
    """Look up what the paper prints of a layer of that name."""
    known = (one for one in published_tables("fre", "mvtec") if one.layer == layer)
    return next((one.value(MEAN) for one in known if one.figure == figure), None)


def _chart(rows: Sequence[Row], layers: Sequence[str]) -> Chart:
    numbers = range(1, len(layers) + 1)
    named = ", ".join(f"{number} {layer}" for number, layer in zip(numbers, layers, strict=True))
    lines = []
    for figure in ("image_auroc", "pixel_auroc", "pro"):
        means = [average(rows, {"layers": layer}, figure) for layer in layers]
        known = [(x, y) for x, y in zip(numbers, means, strict=True) if y is not None]
        if known:
            x, y = zip(*known, strict=True)
            lines.append(Line(label=TITLES[figure], x=x, y=y, style="points"))
    return Chart(title="One layer", x_label=named, y_label="AUROC, PRO", lines=lines)
