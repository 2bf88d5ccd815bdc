"""The shipped table beside the paper's own text."""

import re
from pathlib import Path

from streamline.bench import published_speeds
from streamline.evaluate.published import MEAN, published_tables

UNITS = {"s": 1.0, "mn": 60.0, "mns": 60.0, "min": 60.0, "hr": 3600.0}


def seconds(text: str) -> float:
    """Read a time as the paper writes it: 3mn 38s, 5hr 8min, 6.3s."""
    return sum(float(n) * UNITS[unit] for n, unit in re.findall(r"([\d.]+)\s*([a-z]+)", text))


def test_the_table_is_the_paper_s(shared_dir: Path) -> None:
    text = (shared_dir / "papers" / "fre.txt").read_text()
    printed = {
        cells[0]: cells[1:]
        for line in text.splitlines()
        if len(cells := [cell for cell in line.split("\t") if cell]) == 8
        and cells[0].startswith("Intel")
    }
    systems = published_speeds().systems
    assert [one.name for one in systems] == list(printed)
    for one in systems:
        times = dict(
            zip(("PatchCore", "AST", "FRE-AEt", "FRE-PCA"), printed[one.name], strict=False)
        )
        assert one.training_s == {name: seconds(text) for name, text in times.items()}
        assert list(one.fps.values()) == [float(text) for text in printed[one.name][4:]]
        assert list(one.fps) == ["PatchCore", "AST", "FRE"]


def test_fre_s_gain_over_patchcore_is_what_is_quoted() -> None:
    assert [round(one.gain, 1) for one in published_speeds().systems] == [7.4, 12.8]


def test_eval_compares_with_the_same_figures() -> None:
    tables = [one for one in published_tables("fre", "mvtec") if one.table == "9"]
    shown = {(one.machine, one.figure): one.values[MEAN] for one in tables}
    for system in published_speeds().systems:
        machine = system.name.removeprefix("Intel ")
        assert shown[machine, "fit_s"] == system.training_s["FRE-PCA"]
        assert shown[machine, "fps"] == system.fps["FRE"]
