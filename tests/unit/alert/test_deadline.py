"""Which verdicts are late, over every kind of clock."""

import math

import pytest

from streamline.alert.deadline import unless_late
from streamline.messages import Fault, FrameId, Origin, Scored

CAPTURED = 5_000_000_000
LIMIT = 50_000_000


def scored(error_ns: int | None, fault: Fault | None = None) -> Scored:
    origin = Origin(FrameId("left", 1, 2), CAPTURED, 0, error_ns)
    return Scored(origin=origin, score=0.5 if fault is None else math.nan, fault=fault)


@pytest.mark.parametrize(
    ("age_ns", "error_ns", "late"),
    [
        pytest.param(LIMIT, 0, False, id="at the deadline on one host"),
        pytest.param(LIMIT + 1, 0, True, id="after it"),
        pytest.param(LIMIT - 1_000_000, 1_000_000, False, id="in time at the worst"),
        pytest.param(LIMIT - 1_000_000, 1_000_001, True, id="perhaps late, by clocks that differ"),
        pytest.param(0, None, True, id="clocks not known"),
        pytest.param(-5_000_000, 1_000_000, False, id="before its capture, by clocks that differ"),
    ],
)
def test_a_verdict_is_late_unless_it_is_known_to_be_in_time(
    age_ns: int, error_ns: int | None, *, late: bool
) -> None:
    before = scored(error_ns)
    after = unless_late(before, LIMIT, CAPTURED + age_ns)
    assert after.fault is (Fault.LATE if late else None)
    assert math.isnan(after.score) == late
    assert after.origin == before.origin


def test_without_a_deadline_nothing_is_late() -> None:
    assert unless_late(scored(None), None, 10**18).fault is None


def test_what_is_unknown_already_keeps_its_reason() -> None:
    assert unless_late(scored(0, Fault.SHAPE), LIMIT, 10**18).fault is Fault.SHAPE
