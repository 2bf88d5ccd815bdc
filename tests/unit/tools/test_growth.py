"""How cost grows: the arithmetic, and the parts that are measured on a small scale."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from streamline.backbone import get
from streamline.infer import Compute, score_frames
from tests.support.clips import encode
from tests.support.models import untrained
from tests.support.parts import parts
from tools.growth.__main__ import main
from tools.growth.figures import Growth, Row
from tools.growth.heads import costs_of


def growth(*each: float) -> Growth:
    rows = [
        Row(size=100.0 * 10**n, each=cost, others=0.0, more={"MB": 1234.4, "share": 0.1234})
        for n, cost in enumerate(each)
    ]
    return Growth(what="frames to learn from", size="frames", each="ms", rows=rows, limit=1.25)


def test_the_cost_of_a_unit_at_the_last_size_is_held_against_the_first() -> None:
    assert growth(10.0, 30.0, 12.5).ratio == 1.25
    assert growth(10.0, 30.0, 12.5).met
    assert not growth(10.0, 5.0, 12.6).met


def test_the_table_has_a_row_per_size_and_the_verdict() -> None:
    title, *rows, verdict = growth(10.0, 9.0, 13.0).table().splitlines()
    assert title == "frames to learn from"
    assert [row.split() for row in rows if "--" not in row] == [
        ["frames", "ms", "÷", "first", "MB", "share"],
        ["100", "10", "1.00", "1,234", "0.123"],
        ["1,000", "9", "0.90", "1,234", "0.123"],
        ["10,000", "13", "1.30", "1,234", "0.123"],
    ]
    assert verdict == "last ÷ first: 1.30, wanted ≤ 1.25: MISSED"


def test_one_size_alone_costs_what_it_costs() -> None:
    assert growth(10.0).ratio == 1


def test_heads_and_network_are_measured_apart_for_each_pick() -> None:
    one, two = costs_of([(("block5",), 8), (("block5", "block4"), 8)], trial_s=0.01)
    assert one.features == 192 * 8 * 8
    assert two.features == 192 * 8 * 8 + 112 * 16 * 16
    assert min(one.head_ms, one.network_ms, two.head_ms, two.network_ms) > 0


def test_a_model_that_has_learnt_nothing_judges_like_any_other() -> None:
    model = untrained(get("efficientnet_lite0", "int8"), ["block5"], rank=5)
    directions = model.fre.score_layers["block5"].subspace.encoder.astype(np.float64)
    np.testing.assert_allclose(directions @ directions.T, np.eye(5), atol=1e-3)
    (scores,) = score_frames(model, parts(3, seed=1), compute=Compute())
    assert np.all(np.isfinite(scores))
    assert np.all(scores > 0)


def test_frames_to_learn_from_are_measured_in_a_process_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = encode(list(islice(parts(12, seed=1), 12)), tmp_path / "clip.mp4")
    path = tmp_path / "growth.json"
    arguments = ["fit", "--frames", "8,16", "--clip", str(clip), "--limit", "1e9"]
    assert main([*arguments, "--json", str(path)]) == 0
    (found,) = json.loads(path.read_text())["growths"].values()
    assert [row["size"] for row in found["rows"]] == [8, 16]
    assert all(row["each"] > 0 and row["more"]["largest memory MB"] > 50 for row in found["rows"])
    assert "frames that a model is fitted to" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "--frames", "8,x"], "--frames: '8,x' must be numbers from 1 on"),
        (["fit", "--clip", "no.mp4"], "no.mp4"),
    ],
)
def test_what_can_t_be_measured_is_told_in_a_sentence(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("tools.growth: ")
    assert words in last
