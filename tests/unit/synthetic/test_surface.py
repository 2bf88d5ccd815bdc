"""Textures."""

import numpy as np

from streamline.source.synthetic.surface import make_fields, window


def test_fields_have_zero_mean_and_unit_variance() -> None:
    for field in make_fields(np.random.default_rng(0)):
        assert abs(float(field.mean())) < 1e-3
        assert abs(float(field.std()) - 1) < 1e-3


def test_windows_of_a_field_are_no_copies_of_each_other() -> None:
    rng = np.random.default_rng(0)
    grain = make_fields(rng).grain
    one, other = (window(grain, 100, 120, rng) for _ in range(2))
    assert one.shape == (100, 120)
    assert abs(float(np.corrcoef(one.ravel(), other.ravel())[0, 1])) < 0.2
