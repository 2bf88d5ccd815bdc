"""What correlated scores are worth, where the truth is known in closed form."""

import numpy as np
import pytest

from streamline.conformal import effective_size


def autoregressive(
    n: int, *, keep: float, seed: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Gaussian series whose autocorrelation at lag k is keep**k."""
    noise = np.random.default_rng(seed).standard_normal(n)
    series = np.empty(n)
    series[0] = noise[0]
    for i in range(1, n):
        series[i] = keep * series[i - 1] + np.sqrt(1 - keep**2) * noise[i]
    return series


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9, 0.98])
def test_an_autoregressive_series_is_worth_what_its_correlation_leaves(keep: float) -> None:
    n = 40_000
    # Spearman's correlation of a Gaussian pair: 6/pi arcsin(rho/2).
    lags = keep ** np.arange(1, 2000)
    expected = n / (1 + 2 * np.sum(6 / np.pi * np.arcsin(lags / 2)))
    found = [effective_size(autoregressive(n, keep=keep, seed=seed)) for seed in range(3)]
    assert np.mean(found) == pytest.approx(expected, rel=0.1)


def test_each_frame_shown_ten_times_counts_once() -> None:
    scores = np.repeat(np.random.default_rng(1).random(2000), 10)
    assert effective_size(scores) == pytest.approx(2000, rel=0.1)


def test_a_transformed_score_is_worth_the_same() -> None:
    series = autoregressive(3000, keep=0.8, seed=4)
    assert effective_size(series) == effective_size(np.exp(3 * series))


def test_it_is_never_more_than_the_frames_and_never_less_than_one() -> None:
    assert effective_size(np.tile([0.0, 1.0], 50)) == 100
    assert effective_size(np.ones(50)) == 1
    assert effective_size(np.arange(2.0)) == 2
    assert 1 <= effective_size(np.arange(500.0)) < 10
