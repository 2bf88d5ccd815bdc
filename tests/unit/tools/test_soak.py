"""What the soak says of memory."""

import pytest

from tools.soak.memory import Sample, growths


def life(name: str, pid: int, *, since_s: float, mb: float, per_h: float) -> list[Sample]:
    """Ten minutes of a process that takes 50 MB while it warms up, and then so much an hour."""
    return [
        Sample(
            since_s + 5 * n,
            name,
            pid,
            round(1e6 * (mb + min(50.0, 5.0 * n / 2) + per_h * 5 * n / 3600)),
        )
        for n in range(120)
    ]


def test_growth_is_that_of_the_longest_life_once_it_is_warm() -> None:
    infer = life("infer", 7, since_s=0, mb=300, per_h=1000)[:50]
    infer += life("infer", 8, since_s=300, mb=300, per_h=12)
    alert = life("alert", 9, since_s=0, mb=80, per_h=-3)
    found = growths([*infer, *alert])
    assert found["infer"].mb_per_h == pytest.approx(12, abs=0.01)
    assert found["infer"].mb == pytest.approx(12 * 475 / 3600, abs=0.01)
    assert found["alert"].mb_per_h == pytest.approx(-3, abs=0.01)


def test_nothing_is_said_of_a_life_that_is_too_short() -> None:
    assert growths(life("infer", 7, since_s=0, mb=300, per_h=1000)[:30]) == {}
