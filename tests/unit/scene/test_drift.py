"""The sequential test of p-values: its stated rate of false alarms, and what it finds."""

import math
from itertools import product

import numpy as np
import pytest

from streamline.scene import DriftWatch

N = 999
BLOCK_S = 10.0


def after_blocks(watch: DriftWatch, p_values: list[float]) -> list[str | None]:
    """Feed blocks of ten equal p-values; the side after each."""
    sides = []
    for number, p in enumerate(p_values):
        for frame in range(11):
            watch.see(p, number * 11 + frame * BLOCK_S / 10)
        sides.append(watch.side)
    return sides


def simulated_blocks(days: float, chance: float, rng: np.random.Generator) -> int:
    """Blocks until a false alarm where a normal block is in a tail as often as it may be."""
    enough = 2 * days * 86_400 / BLOCK_S
    high = low = 1.0
    for block in range(1, 10_000_000):
        draw = rng.random()
        high = max(high, 1.0) * (4.0 if draw < chance else 0.25)
        low = max(low, 1.0) * (4.0 if draw > 1 - chance else 0.25)
        if max(high, low) >= enough:
            return block
    return 10_000_000


def test_false_alarms_are_rarer_than_stated_where_blocks_are_in_a_tail_as_often_as_can_be() -> None:
    days = 0.01  # 86 blocks; the relation to the stated time does not depend on it.
    rng = np.random.default_rng(0)
    runs = [simulated_blocks(days, 0.2, rng) for _ in range(200)]
    assert np.mean(runs) * BLOCK_S / 86_400 > days


def test_the_watch_bets_as_the_simulation_does() -> None:
    days, rng = 0.01, np.random.default_rng(5)
    enough = 2 * days * 86_400 / BLOCK_S
    watch, high = DriftWatch(N, days=days), 1.0
    p_values = rng.choice([0.001, 0.5], 400, p=[0.35, 0.65]).tolist()
    for p, side in zip(p_values, after_blocks(watch, p_values), strict=True):
        high = max(high, 1.0) * (4.0 if p < 0.1 else 0.25)
        if high >= enough:
            assert side == "high"
            return
        assert side is None
    pytest.fail("the simulation never gave alarm")


@pytest.mark.parametrize(("p", "side"), [(0.01, "high"), (0.99, "low")])
def test_scores_that_have_gone_are_told_within_two_minutes_and_when_they_are_back(
    p: float, side: str
) -> None:
    watch = DriftWatch(N)
    sides = after_blocks(watch, [0.5] * 20 + [p] * 12 + [0.5] * 12)
    assert sides[:20] == [None] * 20
    assert sides[31] == side
    assert sides.index(side) - 19 == math.ceil(math.log(2 * 30 * 8640, 4))
    assert sides[-1] is None


def test_defects_in_less_than_half_of_the_frames_are_no_drift() -> None:
    watch = DriftWatch(N)
    for number in range(20_000):
        watch.see(0.001 if number % 5 < 2 else 0.5, number / 25)
        assert watch.side is None


def test_half_of_a_block_is_in_a_tail_in_a_fifth_of_blocks_at_most() -> None:
    # All ways in which four frames can be in a tail or not: Markov's inequality, exhaustively.
    for pattern in product((0, 1), repeat=4):
        assert (2 * sum(pattern) >= 4) <= 2 * sum(pattern) / 4


@pytest.mark.parametrize("n", [9, 10, 19, 25, 99, 1000])
def test_no_more_than_a_tenth_of_p_values_are_in_a_tail(n: int) -> None:
    for side in ("high", "low"):
        inside = 0
        for rank in range(1, n + 2):
            watch = DriftWatch(n, days=BLOCK_S / 86_400)  # One block in a tail is enough.
            after_blocks(watch, [rank / (n + 1)] * 1)
            inside += watch.side == side
        assert 0 < inside <= 0.1 * (n + 1)


def test_with_too_few_scores_for_a_tail_there_is_never_an_alarm() -> None:
    watch = DriftWatch(8)
    assert set(after_blocks(watch, [1 / 9] * 30 + [1.0] * 30)) == {None}
