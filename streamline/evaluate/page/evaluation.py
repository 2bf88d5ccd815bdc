"""The page of an evaluation."""

import numpy as np
import numpy.typing as npt

from streamline.evaluate.metrics import PRO_LIMIT, Curve
from streamline.evaluate.page.chart import Chart, Line
from streamline.evaluate.page.html import Section, write_html
from streamline.evaluate.page.pictures import choose_pictures
from streamline.evaluate.report import Evaluation
from streamline.evaluate.run import Evaluated
from streamline.evaluate.tables import evaluation_tables

__all__ = ["evaluation_page"]

_BINS = 40


def evaluation_page(result: Evaluation, /) -> str:
    """Write an evaluation as HTML: figures, then curves and pictures of each category.

    Of several seeds the first is drawn.
    """
    sections = [Section(title="Figures", tables=evaluation_tables(result))]
    for name, runs in result.categories.items():
        seed, one = next(iter(runs.items()))
        sections.append(_category(name if len(runs) == 1 else f"{name}, seed {seed}", one))
    return write_html(f"Evaluation on {result.layout}", sections)


def _category(title: str, one: Evaluated) -> Section:
    curves = one.curves
    charts = [_histogram(one), _roc(curves.image_roc, curves.pixel_roc)]
    if curves.overlap is not None:
        charts.append(_pro(curves.overlap))
    normal = sum(not sample.anomalous for sample in one.category.test)
    text = (
        f"Fitted to {len(one.category.train)} normal images; tested on {normal} normal and "
        f"{len(one.category.test) - normal} defective ones."
    )
    return Section(title=title, text=text, charts=charts, strips=choose_pictures(one))


def _histogram(one: Evaluated) -> Chart:
    anomalous = np.array([sample.anomalous for sample in one.category.test])
    edges = np.histogram_bin_edges(one.scores, _BINS)
    lines = [
        _bars(label, one.scores[chosen], edges)
        for label, chosen in (("normal", ~anomalous), ("defective", anomalous))
    ]
    threshold = one.model.threshold
    top = max(max(line.y) for line in lines)
    lines.append(Line(label="threshold of the fit", x=[threshold] * 2, y=[0, top]))
    return Chart(
        title="Scores",
        x_label="score",
        y_label="share of images",
        lines=lines,
        y_range=(0, 1.05 * top),
        legend="top",
    )


def _bars(label: str, scores: npt.NDArray[np.float32], edges: npt.NDArray[np.floating]) -> Line:
    counts, _ = np.histogram(scores, edges)
    return Line(
        label=label,
        x=np.repeat(edges, 2)[1:-1].tolist(),
        y=np.repeat(counts / len(scores), 2).tolist(),
        style="area",
    )


def _roc(image: Curve, pixel: Curve | None) -> Chart:
    lines = [_curve(f"images, {image.area():.4f}", image)]
    if pixel is not None:
        lines.append(_curve(f"pixels, {pixel.area():.4f}", pixel))
    return Chart(
        title="ROC",
        x_label="false positive rate",
        y_label="true positive rate",
        lines=lines,
        x_range=(0, 1),
        y_range=(0, 1),
    )


def _pro(curve: Curve) -> Chart:
    return Chart(
        title="Per-region overlap",
        x_label="false positive rate of pixels",
        y_label="share of each defect found",
        lines=[_curve(f"to {PRO_LIMIT:g}: {curve.area(limit=PRO_LIMIT):.4f}", curve)],
        x_range=(0, PRO_LIMIT),
        y_range=(0, 1),
    )


def _curve(label: str, curve: Curve) -> Line:
    return Line(label=label, x=curve.false_rate.tolist(), y=curve.found.tolist())
