"""Kinds of panels that the dashboards are put together from."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    GraphDrawStyle,
    GraphThresholdsStyleMode,
    ScaleDistribution,
    StackingMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    FieldColorModeId,
    Panel,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableRefresh,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

__all__ = [
    "SOURCE",
    "STATES",
    "bars",
    "curves",
    "density",
    "figure",
    "listing",
    "new_dashboard",
    "query",
    "states",
    "with_rows",
]

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="prometheus")
"""The data source that docker/grafana/provisioning makes."""

STATES: Final = {
    0: ("starting", "blue"),
    1: ("ok", "green"),
    2: ("unusable", "orange"),
    3: ("down", "red"),
    4: ("ended", "text"),
}
"""A camera's states as numbers, and how they are shown."""

_HALF, _HIGH = 12, 8
_FIGURE_WIDE, _FIGURE_HIGH = 4, 4


def new_dashboard(title: str, description: str) -> dashboard.Dashboard:
    """Begin a dashboard of one line, which is chosen at its top."""
    instance = (
        dashboard.QueryVariable("instance")
        .label("Line")
        .datasource(SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .query('label_values(up{job="streamline"}, instance)')
    )
    links = dashboard.DashboardLink("Streamline").tags(["streamline"]).as_dropdown(as_dropdown=True)
    return (
        dashboard.Dashboard(f"Streamline: {title}")
        .uid(f"streamline-{title.lower()}")
        .description(description)
        .tags(["streamline"])
        .readonly()
        .refresh("5s")
        .time("now-15m", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(links.keep_time(keep_time=True).include_vars(include_vars=True))
        .with_variable(instance)
    )


def with_rows(
    board: dashboard.Dashboard, rows: Mapping[str, Callable[[], Iterable[Builder[Panel]]]]
) -> dashboard.Dashboard:
    """Add rows of panels, by their titles."""
    for title, panels in rows.items():
        board = board.with_row(dashboard.Row(title))
        for panel in panels():
            board = board.with_panel(panel)
    return board


def query(expression: str, legend: str = "") -> prometheus.Dataquery:
    """Ask over the time that is shown."""
    return prometheus.Dataquery().expr(expression).legend_format(legend).range()


def figure(
    title: str,
    expression: str,
    *,
    unit: str = "short",
    bad_from: float | None = None,
    good_from: float | None = None,
) -> stat.Panel:
    """Show one number as it stands; red from *bad_from* on, or below *good_from*."""
    steps = [Threshold(value=None, color="green")]
    if bad_from is not None:
        steps.append(Threshold(value=bad_from, color="red"))
    if good_from is not None:
        steps = [Threshold(value=None, color="red"), Threshold(value=good_from, color="green")]
    return (
        stat.Panel()
        .title(title)
        .datasource(SOURCE)
        .unit(unit)
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(prometheus.Dataquery().expr(expression).instant())
        .height(_FIGURE_HIGH)
        .span(_FIGURE_WIDE)
    )


def curves(
    title: str,
    description: str,
    queries: Sequence[prometheus.Dataquery],
    *,
    unit: str,
    stacked: bool = False,
    limit: float | None = None,
) -> timeseries.Panel:
    """Show how something goes over time, with a line at *limit*."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .targets(list(queries))
        .fill_opacity(30 if stacked else 5)
        .show_points(VisibilityMode.NEVER)
        .draw_style(GraphDrawStyle.LINE)
        .height(_HIGH)
        .span(_HALF)
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    if limit is not None:
        steps = [Threshold(value=None, color="transparent"), Threshold(value=limit, color="red")]
        style = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.LINE)
        panel = panel.thresholds(
            dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
        ).thresholds_style(style)
    return panel


def density(title: str, description: str, expression: str, *, unit: str) -> heatmap.Panel:
    """Show a histogram over time."""
    target = prometheus.Dataquery().expr(expression).legend_format("{{le}}").range()
    color = (
        heatmap.HeatmapColorOptions()
        .mode(HeatmapColorMode.SCHEME)
        .scheme("Oranges")
        .scale(HeatmapColorScale.EXPONENTIAL)
        .exponent(0.5)
        .steps(64)
    )
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(target.format(PromQueryFormat.HEATMAP))
        .calculate(calculate=False)
        .color(color)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .scale_distribution(common.ScaleDistributionConfig().type(ScaleDistribution.LINEAR))
        .height(_HIGH)
        .span(_HALF)
    )


def states(
    title: str,
    description: str,
    target: prometheus.Dataquery,
    meanings: Mapping[int, tuple[str, str]],
) -> statetimeline.Panel:
    """Show by name and colour which of some states something was in."""
    options = {
        str(value): ValueMappingResult(text=text, color=color, index=value)
        for value, (text, color) in meanings.items()
    }
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(target)
        .mappings([ValueMap(options=options)])
        .show_value(VisibilityMode.AUTO)
        .merge_values(merge_values=True)
        .height(_HIGH)
        .span(_HALF)
    )


def bars(title: str, description: str, expression: str, *, unit: str) -> bargauge.Panel:
    """Show rows beside each other, as they stand."""
    target = prometheus.Dataquery().expr(expression).legend_format("{{row}}").instant()
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(target)
        .unit(unit)
        .min(0)
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .display_mode(BarGaugeDisplayMode.BASIC)
        .orientation(VizOrientation.HORIZONTAL)
        .height(_HIGH)
        .span(_HALF)
    )


def listing(title: str, description: str, expression: str) -> table.Panel:
    """Show label sets as rows of a table."""
    target = prometheus.Dataquery().expr(expression).instant().format(PromQueryFormat.TABLE)
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .with_target(target)
        .height(_HIGH)
        .span(_HALF)
    )
