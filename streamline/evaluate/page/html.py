"""Tables, charts and pictures as one HTML file that needs nothing beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from streamline.evaluate.page.chart import Chart, draw_chart
from streamline.evaluate.page.pictures import Strip
from streamline.evaluate.tables import Table

__all__ = ["Section", "write_html"]

_STYLE: Final = """
body { font-family: sans-serif; margin: 2em auto; max-width: 1340px; color: #222; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: 0.25em 0.8em; text-align: right; border-bottom: 1px solid #ddd; }
.word { text-align: left; }
.row { display: flex; flex-wrap: wrap; gap: 12px; }
figure { margin: 0; width: 300px; font-size: 12px; }
figure img { width: 148px; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Part of a page."""

    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    strips: Sequence[Strip] = ()


def write_html(title: str, sections: Sequence[Section], /) -> str:
    """Put a page together."""
    return "\n".join(
        (
            "<!DOCTYPE html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *(part for section in sections for part in _section(section)),
            "</body></html>",
            "",
        )
    )


def _section(section: Section) -> Iterator[str]:
    yield f"<h2>{escape(section.title)}</h2>"
    if section.text:
        yield f"<p>{escape(section.text)}</p>"
    yield from (_table(table) for table in section.tables)
    if section.charts:
        yield f'<div class="row">{"".join(map(draw_chart, section.charts))}</div>'
    yield from (part for strip in section.strips for part in _strip(strip))


def _table(table: Table) -> str:
    rows = [
        f"<tr>{''.join(_cells(tag, row, table.words))}</tr>"
        for tag, row in [("th", table.head), *(("td", row) for row in table.rows)]
    ]
    return f"<table>{''.join(rows)}</table>"


def _cells(tag: str, row: Sequence[str], words: frozenset[int]) -> Iterator[str]:
    for index, cell in enumerate(row):
        kind = ' class="word"' if index in words else ""
        yield f"<{tag}{kind}>{escape(cell)}</{tag}>"


def _strip(strip: Strip) -> Iterator[str]:
    yield f"<h3>{escape(strip.title)}</h3>"
    figures = (
        f'<figure><img src="{one.picture}" alt=""><img src="{one.heat}" alt="">'
        f"<figcaption>{escape(one.caption)}</figcaption></figure>"
        for one in strip.shown
    )
    yield f'<div class="row">{"".join(figures)}</div>'
