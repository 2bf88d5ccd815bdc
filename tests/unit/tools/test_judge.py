"""The parts of the judge of a running line that need no line."""

import numpy as np
import pytest

from tools.judge.goals import Goals
from tools.judge.memory import growth


def goals_of(*, rate: float, lost: int) -> Goals:
    goals = Goals()
    goals.at_least("rate", 0.95, rate)
    goals.at_most("latency", 80, 79.99, " ms")
    goals.equal("lost", 0, lost)
    goals.note("frames", 1500)
    return goals


def test_goals_are_met_at_their_bounds() -> None:
    assert goals_of(rate=0.95, lost=0).met


@pytest.mark.parametrize(("rate", "lost"), [(0.9499, 0), (1.0, 1)])
def test_goals_are_not_met_if_one_of_them_is_missed(rate: float, lost: int) -> None:
    assert not goals_of(rate=rate, lost=lost).met


def test_the_table_has_a_row_per_goal_with_what_was_wanted_seen_and_found() -> None:
    rows = [row.split() for row in goals_of(rate=0.5, lost=0).table().splitlines()]
    assert rows == [
        ["rate", "≥", "0.95", "0.5", "MISSED"],
        ["latency", "≤", "80", "ms", "79.99", "ms", "met"],
        ["lost", "0", "0", "met"],
        ["frames", "1500"],
    ]


@pytest.mark.parametrize(("others", "words"), [(0.02, ": quiet"), (0.021, ": NOT QUIET")])
def test_the_table_says_whether_the_machine_was_quiet(others: float, words: str) -> None:
    goals = goals_of(rate=1.0, lost=0)
    goals.others = others
    assert words in goals.table().splitlines()[-1]
    assert goals.met


def test_growth_is_the_slope_after_warming_up_over_the_whole_run() -> None:
    frames = np.arange(0.0, 100_001.0, 500)
    noise = np.random.default_rng(3).normal(0, 0.01, len(frames))
    warming = np.where(frames < 10_000, -40.0, 0.0)
    assert growth(frames, 90 + 2e-5 * frames + warming + noise) == pytest.approx(2.0, rel=0.02)
    assert growth(frames, np.full(len(frames), 90.0)) == pytest.approx(0, abs=1e-9)
