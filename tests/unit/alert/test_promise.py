"""What is said of alerts, against enumeration, independent frames and many recordings."""

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from streamline.alert.promise import AlertRate, alert_rate, promise_of
from streamline.model import Calibration

Doubles = npt.NDArray[np.float64]


def alerts_in(fails: tuple[bool, ...], k: int, n: int) -> int:
    """Count alerts by their definition: windows of at most n verdicts since the last change."""
    begins, since, on = 0, 0, False
    for end in range(1, len(fails) + 1):
        window = fails[max(since, end - n) : end]
        if sum(fail != on for fail in window) >= k:
            on, since = not on, end
            begins += on
    return begins


@pytest.mark.parametrize(("k", "n"), [(1, 1), (2, 3), (3, 5)])
def test_alerts_are_counted_as_in_every_possible_sequence_of_verdicts(k: int, n: int) -> None:
    # The first block passes as a whole, and its largest score is the threshold of the second.
    calm = np.arange(8.0)
    for fails in product((False, True), repeat=8):
        scores = np.concatenate([calm, np.where(fails, 100.0, -1.0)])
        found = alert_rate(scores, alpha=1 / 9, k=k, n=n, blocks=2, gap=0)
        # Judged by those of the second block, nothing of the first is above its 100.
        expected = alerts_in(fails, k, n) + (0 if any(fails) else alerts_in((True,) * 8, k, n))
        assert found.begins == expected
        assert found.frames == 16


def test_the_rate_of_independent_frames_is_that_of_all_sequences_by_their_probability() -> None:
    alpha, length, k, n = 0.1, 10, 2, 3
    expected = sum(
        alerts_in(fails, k, n) * alpha ** sum(fails) * (1 - alpha) ** (length - sum(fails))
        for fails in product((False, True), repeat=length)
    )
    scores = np.random.default_rng(2).random(20_000)
    found = alert_rate(scores, alpha=alpha, k=k, n=n, blocks=2000, gap=0)
    assert found.estimate == pytest.approx(expected / length, rel=0.1)


def correlated(frames: int, *, keep: float, seed: int) -> Doubles:
    noise = np.random.default_rng(seed).standard_normal(frames)
    scores = np.empty(frames)
    scores[0] = noise[0]
    for i in range(1, frames):
        scores[i] = keep * scores[i - 1] + np.sqrt(1 - keep**2) * noise[i]
    return scores


def test_the_limit_holds_for_correlated_frames_about_as_often_as_it_says() -> None:
    frames, settings = 1500, {"alpha": 0.02, "k": 3, "n": 5, "blocks": 10, "gap": 30}
    long = correlated(150_000, keep=0.9, seed=0)
    truth = alert_rate(long, **settings).estimate  # type: ignore[arg-type]
    assert truth > 0
    limits = [
        alert_rate(correlated(frames, keep=0.9, seed=seed), **settings).upper  # type: ignore[arg-type]
        for seed in range(1, 101)
    ]
    # 95 of 100 are to lie above; fewer than 88 would be, with 95 %, in 3 of 1000 cases.
    assert stats.binom.cdf(87, 100, 0.95) < 0.005
    assert sum(limit >= truth for limit in limits) >= 88


def calibration(scores: Doubles, *, alpha: float, interval_s: float | None) -> Calibration:
    return Calibration(
        alpha=alpha,
        scores=scores,
        way="split",
        effective_frames=len(scores) / 4,
        blocks=10,
        gap=2,
        interval_s=interval_s,
        source="./good",
        created="2031-01-02T03:04:05+00:00",
    )


def test_a_recording_without_alerts_bounds_them_by_three_in_its_length() -> None:
    hour = calibration(np.zeros(36_000), alpha=0.01, interval_s=0.1)
    promise = promise_of(hour)
    assert promise.alerts == AlertRate(
        k=3, n=5, begins=0, frames=36_000, upper=promise.alerts.upper
    )
    assert promise.alerts_per_hour == 0
    assert promise.alerts_per_hour_upper == pytest.approx(2.996, rel=1e-3)
    twice = promise_of(hour, fps=20)
    assert twice.alerts_per_hour_upper == pytest.approx(2 * 2.996, rel=1e-3)


def test_still_pictures_have_no_rate_an_hour_unless_they_are_given_one() -> None:
    stills = calibration(np.arange(400.0), alpha=0.01, interval_s=None)
    assert promise_of(stills).alerts_per_hour_upper is None
    assert promise_of(stills, fps=2).alerts_per_hour_upper is not None


def test_the_share_that_fails_is_bounded_by_the_frames_effective_number() -> None:
    stills = calibration(np.arange(400.0), alpha=0.05, interval_s=None)
    # 19 of 400 lie above the threshold, which are worth 5 of 100.
    assert promise_of(stills).fail_rate_upper == pytest.approx(
        stats.beta.ppf(0.95, 6, 95), rel=1e-6
    )
