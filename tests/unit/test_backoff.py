"""Waiting before a lost camera is tried again."""

import random

import pytest

from streamline.source import Backoff

S = 1_000_000_000


class ManualClock:
    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class Highest(random.Random):
    """Jitter that always draws the upper bound."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the signature it overrides
        return b


def backoff_at(
    clock: ManualClock, *, jitter: random.Random | None = None, sustained_s: float = 5
) -> Backoff:
    return Backoff(
        first_s=1,
        longest_s=30,
        sustained_s=sustained_s,
        clock=clock,
        random_source=jitter or Highest(),
    )


def test_delays_double_up_to_the_longest() -> None:
    backoff = backoff_at(ManualClock())
    assert [backoff.failed() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_jitter_keeps_each_delay_between_half_and_all_of_its_bound() -> None:
    bounds = [1, 2, 4, 8, 16, 30]
    drawn = []
    for seed in range(200):
        backoff = backoff_at(ManualClock(), jitter=random.Random(seed))  # noqa: S311
        drawn.append([backoff.failed() for _ in bounds])
    for bound, delays in zip(bounds, zip(*drawn, strict=True), strict=True):
        assert min(delays) >= bound / 2
        assert max(delays) <= bound
        assert max(delays) - min(delays) > bound / 4  # they differ, cameras don't come in step


def test_where_one_success_proves_enough_it_resets_the_delay() -> None:
    backoff = backoff_at(ManualClock(), sustained_s=0)
    for _ in range(3):
        assert [backoff.failed(), backoff.failed()] == [1, 2]
        backoff.delivered()


def test_one_frame_after_a_reconnect_does_not_reset_the_delay() -> None:
    clock = ManualClock()
    backoff = backoff_at(clock)
    backoff.failed()
    backoff.failed()
    backoff.delivered()
    clock.now_ns += 60 * S  # silence, not delivery
    assert backoff.failed() == 4


@pytest.mark.parametrize(
    ("seconds", "delay"),
    [
        pytest.param(4.9, 8, id="too-short"),
        pytest.param(5.0, 1, id="long-enough"),
    ],
)
def test_only_sustained_frames_reset_the_delay(seconds: float, delay: float) -> None:
    clock = ManualClock()
    backoff = backoff_at(clock)
    for _ in range(3):
        backoff.failed()
    for _ in range(51):
        backoff.delivered()
        clock.now_ns += round(seconds * S / 50)
    assert backoff.failed() == delay


def test_delivery_before_a_failure_does_not_count_towards_the_next_reset() -> None:
    clock = ManualClock()
    backoff = backoff_at(clock)
    backoff.failed()
    for _ in range(4):
        backoff.delivered()
        clock.now_ns += 3 * S
        assert backoff.failed() > 1


def test_days_of_failures_do_not_overflow() -> None:
    backoff = backoff_at(ManualClock())
    assert {backoff.failed() for _ in range(3000)} == {1, 2, 4, 8, 16, 30}
    assert backoff.failures == 3000
