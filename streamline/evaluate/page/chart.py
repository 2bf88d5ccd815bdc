"""Plots of curves and histograms as SVG, small enough to stand inside a page."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Literal

__all__ = ["Chart", "Line", "draw_chart"]

_WIDTH: Final = 420
_HEIGHT: Final = 300
_LEFT: Final = 58
_RIGHT: Final = 14
_TOP: Final = 30
_BOTTOM: Final = 46
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Told apart by colour-blind eyes too: M. Okabe, K. Ito, "Color Universal Design", 2008."""

Style = Literal["line", "points", "area"]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Values that belong together."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    style: Style = "line"
    """points: marked where there is a value; area: filled down to nought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A plot before it is drawn."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    x_range: Range | None = None
    """None: what the lines span."""

    y_range: Range | None = None
    legend: Literal["top", "bottom"] = "bottom"
    """Where, on the right, nothing else is."""


def draw_chart(chart: Chart, /) -> str:
    """Draw a chart as an ``<svg>`` element that needs nothing else."""
    x_range = chart.x_range or _span([x for line in chart.lines for x in line.x])
    y_range = chart.y_range or _span([y for line in chart.lines for y in line.y])
    frame = _Frame(x_range, y_range)
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    middle = f'x="{_WIDTH / 2}" y="18" text-anchor="middle" font-size="13"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">',
        f"<text {middle}>{escape(chart.title)}</text>",
        *_axes(frame, chart),
        *(part for i, line in enumerate(chart.lines) for part in _line(frame, line, _colour(i))),
        *_legend(chart),
        "</svg>",
    ]
    return "\n".join(parts)


class _Frame:
    """Where values come to lie, px."""

    def __init__(self, x_range: Range, y_range: Range) -> None:
        self.x_range = x_range
        self.y_range = y_range

    def x(self, value: float) -> float:
        low, high = self.x_range
        share = (min(max(value, low), high) - low) / (high - low)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        low, high = self.y_range
        share = (min(max(value, low), high) - low) / (high - low)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _span(values: Sequence[float]) -> Range:
    """Range of values with a little air; never empty."""
    low, high = min(values), max(values)
    air = 0.05 * (high - low) or max(0.05 * abs(high), 0.5)
    return low - air, high + air


def _ticks(limits: Range) -> list[float]:
    """Round numbers in a range, about five of them."""
    low, high = limits
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _axes(frame: _Frame, chart: Chart) -> Iterator[str]:
    left, right, top, bottom = _LEFT, _WIDTH - _RIGHT, _TOP, _HEIGHT - _BOTTOM
    for value in _ticks(frame.x_range):
        x = frame.x(value)
        yield f'<path d="M{x} {top}V{bottom}" stroke="#ddd"/>'
        yield f'<text x="{x}" y="{bottom + 15}" text-anchor="middle">{value:g}</text>'
    for value in _ticks(frame.y_range):
        y = frame.y(value)
        yield f'<path d="M{left} {y}H{right}" stroke="#ddd"/>'
        yield f'<text x="{left - 5}" y="{y + 4}" text-anchor="end">{value:g}</text>'
    yield f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#444"/>'
    yield (
        f'<text x="{(left + right) / 2}" y="{_HEIGHT - 10}" text-anchor="middle">'
        f"{escape(chart.x_label)}</text>"
    )
    yield (
        f'<text transform="translate(14 {(top + bottom) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(chart.y_label)}</text>'
    )


def _line(frame: _Frame, line: Line, colour: str) -> Iterator[str]:
    places = [(frame.x(x), frame.y(y)) for x, y in zip(line.x, line.y, strict=True)]
    path = " ".join(f"{x},{y}" for x, y in places)
    if line.style == "area":
        floor = frame.y(0)
        ends = f"{places[0][0]},{floor} {path} {places[-1][0]},{floor}"
        yield f'<polygon points="{ends}" fill="{colour}" fill-opacity="0.35"/>'
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
    if line.style == "points":
        yield from (f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in places)


def _legend(chart: Chart) -> Iterator[str]:
    right = _WIDTH - _RIGHT
    above_axis = _HEIGHT - _BOTTOM - 8 - 15 * (len(chart.lines) - 1)
    first = _TOP + 14 if chart.legend == "top" else above_axis
    for index, line in enumerate(chart.lines):
        y = first + 15 * index
        yield f'<text x="{right - 22}" y="{y}" text-anchor="end">{escape(line.label)}</text>'
        yield f'<path d="M{right - 18} {y - 4}h14" stroke="{_colour(index)}" stroke-width="3"/>'
