"""Limits of rates against SciPy's distributions, and against drawing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from streamline.conformal import binomial_upper, poisson_upper

CONFIDENCE = st.sampled_from([0.9, 0.95, 0.99])


@given(st.integers(1, 20_000), st.floats(0, 1), CONFIDENCE)
def test_a_binomial_limit_is_clopper_and_pearsons(n: int, share: float, confidence: float) -> None:
    events = round(share * n)
    expected = stats.beta.ppf(confidence, events + 1, n - events) if events < n else 1.0
    assert binomial_upper(events, n, confidence=confidence) == pytest.approx(expected, rel=1e-6)


@given(st.integers(0, 5_000), CONFIDENCE)
def test_a_poisson_limit_is_garwoods(events: int, confidence: float) -> None:
    expected = stats.chi2.ppf(confidence, 2 * (events + 1)) / 2
    assert poisson_upper(events, confidence=confidence) == pytest.approx(expected, rel=1e-6)


def test_nothing_seen_is_three_over_n() -> None:
    assert poisson_upper(0, confidence=0.95) == pytest.approx(-math.log(0.05))
    assert binomial_upper(0, 1000, confidence=0.95) == pytest.approx(1 - 0.05 ** (1 / 1000))
