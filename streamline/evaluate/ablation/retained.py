"""How little the share of variance retained matters: FRE, figure 2, middle and right."""

from collections.abc import Sequence
from typing import Final

from streamline.evaluate.ablation.network import open_network
from streamline.evaluate.ablation.result import Ablation, Row, average
from streamline.evaluate.ablation.study import Pick, study_layers
from streamline.evaluate.page import Chart, Line
from streamline.evaluate.plan import PlannedRun
from streamline.evaluate.tables import TITLES, Table, figure_text
from streamline.learn import FitSettings, Progress

__all__ = ["RETAINED", "ablate_retained"]

RETAINED: Final = (0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99, 0.995)


def ablate_retained(
    runs: Sequence[PlannedRun], settings: FitSettings, progress: Progress, /
) -> Ablation:
    """Fit every layer with every share of the variance, singly and as the model fuses them.

    No rank is limited, and `settings.retain` plays no part.

    Raises
    ------
    InputError
        If an image or a mask can't be read.
    """
    net = open_network(settings)
    settings = settings.resolved()
    picks = [Pick((layer,), (layer,)) for layer in net.layers]
    picks.append(Pick(settings.score_layers, settings.map_layers))
    rows = []
    for run in runs:
        study = study_layers(run.category, net, RETAINED, settings.compute, progress)
        for done, pick in enumerate(picks, start=1):
            rows += [
                Row(
                    run=run,
                    variant={"layers": pick.name, "retain": share},
                    figures=study.figures(pick, share),
                )
                for share in RETAINED
            ]
            progress("variants", done, len(picks))
    names = [pick.name for pick in picks]
    return Ablation(
        title="Retained variance",
        text=(
            "Image AUROC, pixel AUROC and PRO against the share of variance that the subspace "
            "retains, layer by layer; means over the categories. FRE, figure 2, middle and right."
        ),
        rows=rows,
        tables=[_table(rows, names, figure) for figure in _SHOWN],
        charts=[_chart(rows, names, figure) for figure in _SHOWN if figure != "k"],
        setup={"backbone": settings.backbone, "precision": net.precision},
    )


_SHOWN: Final = ("image_auroc", "pixel_auroc", "pro", "k")


def _table(rows: Sequence[Row], names: Sequence[str], figure: str) -> Table:
    return Table(
        head=(TITLES[figure], *(f"{share:g}" for share in RETAINED)),
        rows=[
            (name, *(figure_text(figure, _mean(rows, name, share, figure)) for share in RETAINED))
            for name in names
        ],
    )


def _chart(rows: Sequence[Row], names: Sequence[str], figure: str) -> Chart:
    lines = []
    for name in names:
        means = [_mean(rows, name, share, figure) for share in RETAINED]
        known = [(x, y) for x, y in zip(RETAINED, means, strict=True) if y is not None]
        if known:
            x, y = zip(*known, strict=True)
            lines.append(Line(label=name, x=x, y=y, style="points"))
    return Chart(
        title=TITLES[figure], x_label="retained variance", y_label=TITLES[figure], lines=lines
    )


def _mean(rows: Sequence[Row], name: str, share: float, figure: str) -> float | None:
    return average(rows, {"layers": name, "retain": share}, figure)
