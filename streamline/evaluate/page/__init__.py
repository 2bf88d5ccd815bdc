"""An evaluation as a page to look at: tables, curves, histograms, and maps over the images."""

from streamline.evaluate.page.chart import Chart, Line, draw_chart
from streamline.evaluate.page.evaluation import evaluation_page
from streamline.evaluate.page.html import Section, write_html

__all__ = ["Chart", "Line", "Section", "draw_chart", "evaluation_page", "write_html"]
