"""The committed dashboards are what the code makes, and only ask for what there is."""

import json
import re
from typing import Any

import pytest

from streamline.metrics.catalogue import HELP
from tools.dashboards.__main__ import FOLDER
from tools.dashboards.all import rendered


def panels_of(text: str) -> list[dict[str, Any]]:
    found = json.loads(text)["panels"]
    return [one for row in found for one in (row, *row.get("panels", ()))]


def test_the_committed_files_are_what_the_code_makes() -> None:
    committed = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert committed == rendered(), "run: python -m tools.dashboards"


@pytest.mark.parametrize("name", rendered())
def test_panels_lie_side_by_side_and_not_on_one_another(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels_of(rendered()[name]):
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.parametrize("name", rendered())
def test_queries_are_of_series_of_the_catalogue_and_of_one_line(name: str) -> None:
    for panel in panels_of(rendered()[name]):
        for target in panel.get("targets", ()):
            expression = target["expr"]
            assert "$instance" in expression
            for series in re.findall(r"(?<!:)\bstreamline_[a-z_]+", expression):
                known = re.sub(r"_(bucket|sum|count)$", "", series)
                raw = {known, f"{known}_total"}
                assert raw & HELP.keys(), series


def test_a_dashboard_knows_its_data_source_by_the_id_that_is_provisioned() -> None:
    provisioned = FOLDER.parent / "provisioning/datasources/prometheus.yaml"
    assert "uid: prometheus " in provisioned.read_text()
    for text in rendered().values():
        for panel in panels_of(text):
            if panel.get("targets"):
                assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
