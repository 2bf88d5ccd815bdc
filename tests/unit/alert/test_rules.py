"""When an alert begins and ends, against the sentence that defines it."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamline.alert.rules import Change, Debounce, Suppressed
from streamline.messages import Verdict

PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN


def by_definition(verdicts: list[Verdict], k: int, n: int) -> list[Change | None]:
    """Begin when k of the last n verdicts since the last change are fail, end likewise for pass.

    Written over the whole past, without any state but where the last change was.
    """
    changes: list[Change | None] = []
    since, active = 0, False
    for i in range(len(verdicts)):
        window = verdicts[max(since, i + 1 - n) : i + 1]
        wanted = PASS if active else FAIL
        if sum(verdict is wanted for verdict in window) >= k:
            active, since = not active, i + 1
            changes.append(Change.BEGIN if active else Change.END)
        else:
            changes.append(None)
    return changes


@given(
    verdicts=st.lists(st.sampled_from(Verdict), max_size=60),
    kn=st.integers(1, 6).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))),
)
def test_alerts_begin_and_end_exactly_where_the_definition_says(
    verdicts: list[Verdict], kn: tuple[int, int]
) -> None:
    alert = Debounce(*kn)
    assert [alert.update(verdict) for verdict in verdicts] == by_definition(verdicts, *kn)


@given(
    verdicts=st.lists(st.sampled_from(Verdict), max_size=60),
    kn=st.integers(1, 6).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))),
)
def test_every_failed_frame_is_in_an_alerts_begin_or_suppressed_or_may_yet_begin_one(
    verdicts: list[Verdict], kn: tuple[int, int]
) -> None:
    k, n = kn
    alert = Debounce(k, n)
    suppressed: Counter[Suppressed | None] = Counter()
    for verdict in verdicts:
        suppressed[alert.suppresses(verdict)] += 1
        alert.update(verdict)
    changes = by_definition(verdicts, k, n)
    since = 1 + max((i for i, change in enumerate(changes) if change), default=-1)
    may_yet = 0 if alert.active else verdicts[max(since, len(verdicts) - n) :].count(FAIL)
    known = suppressed[Suppressed.DEBOUNCED] + suppressed[Suppressed.MERGED]
    assert verdicts.count(FAIL) == k * changes.count(Change.BEGIN) + known + may_yet
    on = [sum(change is not None for change in changes[:i]) % 2 for i in range(len(verdicts))]
    merged = sum(verdict is FAIL and was for verdict, was in zip(verdicts, on, strict=True))
    assert suppressed[Suppressed.MERGED] == merged


@pytest.mark.parametrize(
    ("verdicts", "begins"),
    [
        pytest.param([FAIL, FAIL], [], id="one-too-few"),
        pytest.param([FAIL, FAIL, FAIL], [2], id="just-enough-in-a-row"),
        pytest.param([FAIL, PASS, FAIL, PASS, FAIL], [4], id="just-within-the-window"),
        pytest.param([FAIL, PASS, PASS, FAIL, PASS, FAIL], [], id="just-outside-the-window"),
        pytest.param([FAIL, UNKNOWN, FAIL, UNKNOWN, UNKNOWN, FAIL], [], id="unknowns-take-places"),
        pytest.param([UNKNOWN] * 9, [], id="unknowns-are-not-fails"),
    ],
)
def test_three_of_the_last_five_begin_an_alert(verdicts: list[Verdict], begins: list[int]) -> None:
    alert = Debounce(3, 5)
    changes = [alert.update(verdict) for verdict in verdicts]
    assert [i for i, change in enumerate(changes) if change is Change.BEGIN] == begins


def test_unknown_verdicts_never_end_an_alert() -> None:
    alert = Debounce(1, 3)
    assert alert.update(FAIL) is Change.BEGIN
    assert [alert.update(UNKNOWN) for _ in range(9)] == [None] * 9
    assert alert.active


@pytest.mark.parametrize(("k", "n"), [(0, 3), (4, 3), (-1, 1), (1, 0)])
def test_a_rule_that_can_never_hold_is_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match=rf"k must be in 1\.\.n, got k={k}, n={n}"):
        Debounce(k, n)
