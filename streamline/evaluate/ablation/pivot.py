"""Rows of an ablation turned to tables and charts, averaged over the runs."""

from collections.abc import Sequence
from typing import Final

from streamline.evaluate.ablation.result import Row, average
from streamline.evaluate.page import Chart, Line
from streamline.evaluate.tables import TITLES, Table, figure_text

__all__ = ["layer_chart", "pivot_lines", "pivot_table", "variant_table"]

_QUALITY: Final = ("image_auroc", "pixel_auroc", "pro")


def variant_table(rows: Sequence[Row], varied: str, figures: Sequence[str], /) -> Table:
    """Lay out what was varied down, and several figures of it across.

    Parameters
    ----------
    varied : str
        By its name in the rows.
    """
    names = dict.fromkeys(row.variant[varied] for row in rows)
    return Table(
        head=(varied, *(TITLES.get(figure, figure) for figure in figures)),
        rows=[
            (
                str(name),
                *(figure_text(one, average(rows, {varied: name}, one)) for one in figures),
            )
            for name in names
        ],
    )


def pivot_table(
    rows: Sequence[Row], figure: str, /, *, title: str, down: str, across: str
) -> Table:
    """Lay out one figure, one thing that was varied down and another across.

    Parameters
    ----------
    title : str
        Stands in the corner.
    down, across : str
        By their names in the rows; rows that lack either are left out.
    """
    known = [row for row in rows if {down, across} <= row.variant.keys()]
    columns = list(dict.fromkeys(row.variant[across] for row in known))
    return Table(
        head=(title, *map(str, columns)),
        rows=[
            (
                str(name),
                *(
                    figure_text(figure, average(known, {down: name, across: column}, figure))
                    for column in columns
                ),
            )
            for name in dict.fromkeys(row.variant[down] for row in known)
        ],
    )


def pivot_lines(rows: Sequence[Row], figure: str, /, *, label: str, x: str) -> list[Line]:
    """Draw one figure against what was varied.

    Parameters
    ----------
    label, x : str
        What tells the lines apart, and what they run over, by its name in the rows; rows that
        lack either are left out.
    """
    lines = []
    known = [row for row in rows if {label, x} <= row.variant.keys()]
    for name in dict.fromkeys(row.variant[label] for row in known):
        places = dict.fromkeys(row.variant[x] for row in known if row.variant[label] == name)
        points = [(float(at), average(known, {label: name, x: at}, figure)) for at in places]
        lines += _line(str(name), points)
    return lines


def layer_chart(rows: Sequence[Row], varied: str, layers: Sequence[str], /) -> Chart:
    """Draw the figures of quality of single layers, shallow to deep.

    Parameters
    ----------
    varied : str
        What layers are called in the rows.
    """
    numbers = [float(number) for number in range(1, len(layers) + 1)]
    lines = []
    for figure in _QUALITY:
        means = [average(rows, {varied: layer}, figure) for layer in layers]
        lines += _line(TITLES[figure], list(zip(numbers, means, strict=True)))
    named = ", ".join(f"{number} {layer}" for number, layer in enumerate(layers, start=1))
    return Chart(title="By itself", x_label=named, y_label="AUROC, PRO", lines=lines)


def _line(label: str, points: Sequence[tuple[float, float | None]]) -> list[Line]:
    """Draw what is known; no line where nothing is."""
    known = [(x, y) for x, y in points if y is not None]
    xs, ys = zip(*known, strict=True) if known else ((), ())
    return [Line(label=label, x=xs, y=ys, style="points")] if known else []
