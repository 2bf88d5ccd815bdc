"""What the soak says of memory and descriptors."""

from collections.abc import Mapping

import psutil
import pytest

from tests.support.until import until
from tools.soak.memory import Sample, Watch, growths, minutes


def life(
    name: str, pid: int, *, since_s: float, mb: float, per_h: float, opened_per_h: float = 0
) -> list[Sample]:
    """Ten minutes of a process that takes 50 MB while it warms up, and then so much an hour."""
    return [
        Sample(
            since_s + 5 * n,
            name,
            pid,
            round(1e6 * (mb + min(50.0, 5.0 * n / 2) + per_h * 5 * n / 3600)),
            round(40 + opened_per_h * 5 * n / 3600),
        )
        for n in range(120)
    ]


def test_growth_is_that_of_the_longest_life_once_it_is_warm() -> None:
    infer = life("infer", 7, since_s=0, mb=300, per_h=1000)[:50]
    infer += life("infer", 8, since_s=300, mb=300, per_h=12)
    alert = life("alert", 9, since_s=0, mb=80, per_h=-3, opened_per_h=60)
    found = growths([*infer, *alert])
    assert found["infer"].mb_per_h == pytest.approx(12, abs=0.01)
    assert found["infer"].mb == pytest.approx(12 * 475 / 3600, abs=0.01)
    assert found["infer"].descriptors == 0
    assert found["alert"].mb_per_h == pytest.approx(-3, abs=0.01)
    assert found["alert"].descriptors == pytest.approx(60 * 475 / 3600, abs=1)


def test_nothing_is_said_of_a_life_that_is_too_short() -> None:
    assert growths(life("infer", 7, since_s=0, mb=300, per_h=1000)[:30]) == {}


def stepped(steps: int) -> list[Sample]:
    """A process that takes 12 MB in so many equal steps, and keeps them."""
    quiet = life("camera", 7, since_s=0, mb=100, per_h=0)
    return [
        one._replace(rss=one.rss + round(12e6 / steps * ((n - 23) * steps // 97)))
        if n > 23
        else one
        for n, one in enumerate(quiet)
    ]


def test_what_is_taken_again_and_again_is_growth_and_what_is_taken_once_is_not() -> None:
    once = life("camera", 7, since_s=0, mb=100, per_h=0)
    once[60:] = [one._replace(rss=one.rss + 12_000_000) for one in once[60:]]
    assert growths(once)["camera"].mb == pytest.approx(0, abs=0.01)
    assert growths(stepped(12))["camera"].mb == pytest.approx(12, rel=0.1)


def test_a_long_life_is_thinned_out() -> None:
    whole = [Sample(n, "infer", 7, 1000 * n, 40) for n in range(100_000)]
    assert growths(whole)["infer"].mb_per_h == pytest.approx(3.6)


def test_minutes_are_told_by_their_median() -> None:
    found = minutes(life("infer", 7, since_s=100, mb=300, per_h=0))
    assert found["infer"] == [313.75, 343.75, *[350.0] * 8]


def test_a_process_is_looked_at_and_one_that_ends_is_passed_over() -> None:
    gone = psutil.Popen(["true"])
    gone.wait()
    with Watch(lambda: {"gone": gone, "here": psutil.Process()}, every_s=0.01) as watch:
        until(lambda: len(watch.samples) > 2)
    assert {one.name for one in watch.samples} == {"here"}
    assert watch.samples[0].rss > 1e6
    assert watch.samples[0].descriptors > 2


def test_a_watch_that_fails_is_no_quiet_one() -> None:
    def fail() -> Mapping[str, psutil.Process]:
        message = "of its own"
        raise OSError(message)

    with pytest.raises(OSError, match="of its own"), Watch(fail, every_s=0.01) as watch:
        until(lambda: watch.has_failed)
