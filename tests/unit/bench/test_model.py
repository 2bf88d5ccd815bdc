"""The command that measures a model."""

import json
from pathlib import Path

import pytest

from streamline.bench import to_json
from tests.support.line import streamline


@pytest.mark.timeout(600)
def test_a_model_s_figures_are_printed_and_written(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    done = streamline(
        "bench",
        "model",
        model,
        "--batches",
        "1,2",
        "--seconds",
        "0.05",
        "--rounds",
        "1",
        "--json",
        file,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert found["model_fps"] == max(trial["fps"] for trial in found["trials"])
    precisions = {trial["setting"]["precision"] for trial in found["trials"]}
    assert len(found["trials"]) == len(precisions) * 2
    assert {one["precision"] for one in found["latency_ms"]} == precisions
    assert found["quiet"] == (found["others"] <= 0.02)
    assert found["machine"]["cores"] > 0
    # Five digits there, one after the point here: rounded twice it may be the next one.
    assert any(f"{found['model_fps'] + nudge:.1f}" in done.stdout for nudge in (-0.01, 0.01))
    assert ("NOT QUIET" in done.stdout) != found["quiet"]


def test_a_model_that_is_none_and_a_device_that_is_not_there_are_one_sentence(
    model: Path, tmp_path: Path
) -> None:
    wrong = {
        str(tmp_path): (tmp_path,),
        "NPU.7": (model, "--device", "NPU.7"),
        "--batches": (model, "--batches", "0"),
    }
    for what, arguments in wrong.items():
        done = streamline("bench", "model", *arguments)
        assert done.returncode == 2
        assert what in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr


def test_json_has_no_digits_that_mean_nothing() -> None:
    assert json.loads(to_json({"a": (1.23456789, float("inf")), "n": 123456})) == {
        "a": [1.2346, None],
        "n": 123456,
    }
