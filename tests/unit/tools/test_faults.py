"""How a hurt line's books are read."""

from collections.abc import Sequence
from typing import Any

import pytest

from tools.faults.books import ends_missing
from tools.faults.injuries import Outcome
from tools.faults.order import disorder


def events(*steps: tuple[str, str, int]) -> list[dict[str, Any]]:
    """Kind, camera and frame of the begin of each event."""
    return [
        {"type": kind, "id": f"{camera}-{seq}", "camera": camera, "incarnation": 1, "seq": seq}
        for kind, camera, seq in steps
    ]


@pytest.mark.parametrize(
    ("steps", "missing"),
    [
        pytest.param([("new", "a", 1), ("end", "a", 1)], 0, id="ended"),
        pytest.param([("new", "a", 1)], 0, id="on-still"),
        pytest.param([("new", "a", 1), ("new", "a", 2), ("end", "a", 2)], 1, id="an-older-one"),
        pytest.param([("new", "a", 1), ("new", "b", 2)], 0, id="one-of-each-camera"),
        pytest.param([("new", "a", 1), ("new", "b", 2), ("new", "a", 3)], 1, id="between"),
    ],
)
def test_of_each_camera_only_the_latest_alert_may_be_without_its_end(
    steps: Sequence[tuple[str, str, int]], missing: int
) -> None:
    assert ends_missing(events(*steps)) == missing


A1, A2, B1 = "a-1", "a-2", "b-1"


def told(*steps: tuple[str, str, int]) -> list[dict[str, Any]]:
    """Kind, alert and frame of each event, in the order in which they came."""
    return [
        {"type": kind, "id": alert, "camera": alert[0], "incarnation": 1, "seq": seq}
        for kind, alert, seq in steps
    ]


LIVES = (
    ("new", A1, 1),
    ("update", A1, 2),
    ("update", A1, 3),
    ("end", A1, 4),
    ("new", A2, 5),
)


def test_what_comes_again_or_from_another_camera_is_no_disorder() -> None:
    other = [("new", B1, 1), ("end", B1, 2)]
    assert list(disorder({"jsonl": told(*LIVES, *LIVES[1:4], *other), "zmq": []})) == []


@pytest.mark.parametrize(("first", "second"), [(0, 1), (0, 3), (1, 2), (2, 3), (3, 4)])
def test_two_events_of_a_camera_that_change_places_are_found(first: int, second: int) -> None:
    steps = list(LIVES)
    steps[first], steps[second] = steps[second], steps[first]
    found = list(disorder({"jsonl": told(*LIVES), "webhook": told(*steps)}))
    assert found
    assert all(one.startswith("webhook was told the ") for one in found)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([("end", A1, 1)], id="end-without-new"),
        pytest.param([("update", A1, 1), ("end", A1, 2)], id="update-without-new"),
        pytest.param([("new", A1, 1), ("end", A1, 2), ("update", A1, 3)], id="update-after-end"),
        pytest.param([("new", A1, 1), ("end", A1, 2), ("end", A1, 3)], id="two-ends"),
    ],
)
def test_an_alert_begins_before_anything_is_said_of_it_and_ends_last(
    steps: Sequence[tuple[str, str, int]],
) -> None:
    assert list(disorder({"jsonl": told(*steps)}))


@pytest.mark.parametrize(
    ("recovered_s", "killed", "wrong"),
    [
        pytest.param(10.0, 0, [], id="in-time"),
        pytest.param(10.1, 0, ["disk full: recovered after 10.1 s, not 10 s"], id="late"),
        pytest.param(1.0, 2, ["disk full: 2 workers had to be started again"], id="killed"),
    ],
)
def test_an_outcome_says_what_is_wrong(recovered_s: float, killed: int, wrong: list[str]) -> None:
    one = Outcome(
        name="disk full",
        lasted_s=1.0,
        recovered_s=recovered_s,
        limit_s=10.0,
        raised=0,
        killed=killed,
    )
    assert list(one.wrong) == wrong
    assert one.met == (not wrong)
