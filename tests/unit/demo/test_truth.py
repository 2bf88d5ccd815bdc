"""Alerts against truth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamline.demo import Matched, alert_begins, match_alerts
from streamline.source.synthetic import DefectKind, Episode


def episode(part: int, first: int, last: int) -> Episode:
    return Episode(part=part, kind=DefectKind.CHIP, first=first, last=last, area_share=0.01)


TWO = [episode(2, 20, 30), episode(5, 60, 70)]


def match(*begins: int) -> Matched:
    return match_alerts(begins, TWO, k=3, n=5)


@pytest.mark.parametrize("at", [20, 25, 30, 32])
def test_an_alert_that_rests_on_the_defect_is_true(at: int) -> None:
    matched = match(at)
    assert (matched.true_alerts, matched.false_alerts) == ((at,), ())
    assert matched.found == (TWO[0],)
    assert matched.missed == (TWO[1],)


@pytest.mark.parametrize("at", [19, 33, 59, 73])
def test_an_alert_outside_is_false(at: int) -> None:
    matched = match(at)
    assert (matched.true_alerts, matched.false_alerts) == ((), (at,))
    assert matched.missed == tuple(TWO)


def test_two_alerts_in_one_episode_are_both_true_and_find_it_once() -> None:
    matched = match(21, 28, 62, 90)
    assert matched.recall == 1.0
    assert matched.precision == 3 / 4


def test_silence_has_no_recall_and_no_false_alert() -> None:
    assert (match().recall, match().precision) == (0.0, 1.0)


def test_nothing_to_find_is_all_found() -> None:
    matched = match_alerts([], [], k=3, n=5)
    assert (matched.recall, matched.precision) == (1.0, 1.0)


def test_clips_are_counted_together_and_not_averaged() -> None:
    total = match(21, 62) + match(90)
    assert total.recall == 2 / 4
    assert total.precision == 2 / 3


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_an_alert_begins_where_k_of_the_last_n_failed(
    failed: list[bool], one: int, other: int
) -> None:
    k, n = sorted((one, other))
    for at in alert_begins(failed, k=k, n=n):
        assert failed[at]
        assert sum(failed[max(0, at - n + 1) : at + 1]) >= k


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_no_alert_begins_only_where_k_of_n_never_failed(
    failed: list[bool], one: int, other: int
) -> None:
    k, n = sorted((one, other))
    windows = [sum(failed[at : at + n]) for at in range(len(failed))]
    assert bool(alert_begins(failed, k=k, n=n)) == (max(windows, default=0) >= k)
