"""The parts of the comparison with peers that need no peer."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from streamline.bench import published_speeds, to_json
from streamline.machine import this_machine
from tests.support.clips import encode
from tests.support.parts import parts
from tools.peers.__main__ import main
from tools.peers.figures import (
    Contender,
    Entry,
    PeersBench,
    Ratio,
    Run,
    entries_of,
    goals_of,
    ratios_of,
)

ROUNDS = {
    Contender("PatchCore", "torch", "f32"): [0.5, 0.1, 0.7],
    Contender("FRE", "torch", "f32"): [30.0, 30.0, 30.0],
    Contender("FRE", "OpenVINOInferencer", "f32"): [10.0, 10.0, 10.0],
    Contender("FRE", "OpenVINOInferencer", "bf16"): [20.0, 19.0, 21.0],
    Contender("FRE pooled", "Streamline", "f32"): [25.0, 25.0, 25.0],
    Contender("FRE pooled", "Streamline", "int8"): [40.0, 50.0, 30.0],
    Contender("FRE full", "Streamline", "f32"): [22.0, 22.0, 22.0],
    Contender("FRE full", "Streamline", "int8"): [34.0, 34.0, 34.0],
}


def runs_of(rounds: Mapping[Contender, Sequence[float]]) -> dict[Contender, list[Run]]:
    return {one: [Run(fps, 0.0) for fps in rates] for one, rates in rounds.items()}


def result(entries: list[Entry]) -> PeersBench:
    return PeersBench(
        clip="clip.mp4",
        weights="random",
        entries=entries,
        ratios=ratios_of(entries),
        not_measured=["AST"],
        met=True,
        published=published_speeds(),
        paper=None,
        others=0.0,
        quiet=True,
        machine=this_machine(),
    )


def test_ratios_are_of_medians_in_single_precision_and_of_the_best_of_each() -> None:
    assert ratios_of(entries_of(runs_of(ROUNDS))) == [
        Ratio(what="FRE", over="PatchCore", f32=60.0, best=60.0),
        Ratio(what="FRE pooled", over="PatchCore", f32=50.0, best=80.0),
        Ratio(what="FRE full", over="PatchCore", f32=44.0, best=68.0),
        Ratio(what="FRE pooled", over="FRE", f32=2.5, best=2.0),
        Ratio(what="FRE full", over="FRE", f32=2.2, best=1.7),
    ]


def test_goals_are_met_at_their_bounds_and_missed_below() -> None:
    assert goals_of(ratios_of(entries_of(runs_of(ROUNDS))), 0.0).met
    slower = ROUNDS | {Contender("FRE full", "Streamline", "int8"): [33.9, 33.9, 33.9]}
    goals = goals_of(ratios_of(entries_of(runs_of(slower))), 0.0)
    assert [row[0] for row in goals.rows if not row[3]] == ["FRE full ÷ anomalib's FRE in OpenVINO"]


def test_the_table_has_the_paper_s_ratios_beside_those_of_single_precision() -> None:
    rows = result(entries_of(runs_of(ROUNDS))).table().splitlines()
    assert "FRE pooled  Streamline          int8                  40.00  30.00 to 50.00" in rows
    (single,) = [row.split()[3:] for row in rows if row.startswith("f32 against f32")]
    (best,) = [row.split()[3:] for row in rows if row.startswith("best against best")]
    assert single == ["60.0", "50.0", "44.0", "7.4", "12.8"]
    assert best == ["60.0", "80.0", "68.0"]
    assert "not measured: AST" in rows


def test_the_table_says_that_a_processor_has_no_bf16() -> None:
    without = {one: rates for one, rates in ROUNDS.items() if one.precision != "bf16"}
    table = result(entries_of(runs_of(without))).table()
    assert "not measured: AST; bf16, which this processor does not have" in table


def test_the_json_has_every_round() -> None:
    found = json.loads(to_json(result(entries_of(runs_of(ROUNDS)))))
    assert found["entries"][0] == {
        "what": "PatchCore",
        "how": "torch",
        "precision": "f32",
        "fps": 0.5,
        "rounds": [0.5, 0.1, 0.7],
    }


def sentence_of(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 2
    said = capfd.readouterr()
    assert said.out == ""
    line = said.err.splitlines()[-1]
    assert line.startswith("tools.peers: ")
    return line


def test_a_clip_that_is_not_there_is_told_in_a_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "there is no such file" in sentence_of(["--clip", str(tmp_path / "no.mp4")], capfd)


def test_a_clip_that_is_no_video_is_told_in_a_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "text.mp4"
    clip.write_text("no video")
    assert str(clip) in sentence_of(["--clip", str(clip)], capfd)


def test_a_folder_that_no_environment_can_be_made_in_is_told_in_a_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clip = encode(parts(8, seed=1), tmp_path / "clip.mp4")
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "peers"
    arguments = ["--clip", str(clip), "--environment", str(folder)]
    assert f"{folder}: no environment with anomalib" in sentence_of(arguments, capfd)


@pytest.mark.parametrize("option", ["--rounds", "--seconds"])
@pytest.mark.parametrize("text", ["0", "-1", "nan", "many"])
def test_a_number_that_can_t_be_is_told_in_a_sentence(
    option: str, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--clip", "clip.mp4", option, text])
    assert f"argument {option}: {text!r} must be a" in capfd.readouterr().err
