"""Charts put values where their axes say, and are well-formed whatever the words are."""

import re
from xml.etree import ElementTree as ET

import pytest

from streamline.evaluate.page import Chart, Line, Section, draw_chart, write_html
from streamline.evaluate.tables import Table

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*lines: Line, **options: object) -> ET.Element:
    chart = Chart(title="a < b", x_label="x & y", y_label="z", lines=lines, **options)  # type: ignore[arg-type]
    return ET.fromstring(draw_chart(chart))  # noqa: S314 - drawn just now


def points(element: ET.Element) -> list[tuple[float, float]]:
    pairs = (pair.split(",") for pair in element.attrib["points"].split())
    return [(float(x), float(y)) for x, y in pairs]


def scale(svg: ET.Element, anchor: str) -> dict[float, float]:
    """Where the numbers of an axis stand, px: those below in x, those to the left in y."""
    key = "x" if anchor == "middle" else "y"
    return {
        float(text.text or ""): float(text.attrib[key])
        for text in svg.iter(f"{SVG}text")
        if text.attrib.get("text-anchor") == anchor and re.fullmatch(r"-?[\d.]+", text.text or "")
    }


def test_values_lie_between_the_numbers_of_the_axes_as_they_should() -> None:
    line = Line(label="one", x=[0, 0.5, 1], y=[0, 20, 10])
    svg = drawn(line, x_range=(0, 1), y_range=(0, 20))
    (path,) = svg.iter(f"{SVG}polyline")
    below, left = scale(svg, "middle"), scale(svg, "end")
    assert {0, 0.2, 1} <= set(below)
    assert {0, 5, 10, 20} <= set(left)
    (x0, y0), (x1, y1), (x2, y2) = points(path)
    assert (x0, x2) == (below[0], below[1])
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    # the numbers' base line is four below the line they name
    assert [y + 4 for y in (y0, y1, y2)] == [left[0], left[20], left[10]]


def test_an_axis_spans_its_values_where_nobody_says_what_to_span() -> None:
    (path,) = drawn(Line(label="flat", x=[1, 2], y=[0.98, 0.98])).iter(f"{SVG}polyline")
    (x0, y0), (x1, y1) = points(path)
    assert x0 < x1
    assert y0 == y1


def test_areas_stand_on_nought_and_points_are_marked() -> None:
    svg = drawn(
        Line(label="bars", x=[0, 1], y=[3, 3], style="area"),
        Line(label="dots", x=[0, 1], y=[1, 2], style="points"),
        y_range=(0, 4),
    )
    (area,) = svg.iter(f"{SVG}polygon")
    assert points(area)[0][1] + 4 == scale(svg, "end")[0]
    assert len(list(svg.iter(f"{SVG}circle"))) == 2


def test_words_can_not_break_a_page() -> None:
    table = Table(head=("<name>", "n"), rows=[("a & b", "<script>")])
    page = write_html("x < y", [Section(title="</h2>", text="&", tables=[table])])
    assert "<script>" not in page
    assert "&lt;name&gt;" in page
    assert "a &amp; b" in page
    assert page.count("</h2>") == 1
