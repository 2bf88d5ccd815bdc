"""The bank as it is stored: what rounding costs and what is refused."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from streamline.sgfr import BankPrecision, store_bank

Single = npt.NDArray[np.float32]

banks = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False),
)


@given(banks)
def test_int8_is_within_half_a_step_of_the_frame_s_largest(bank: Single) -> None:
    stored = store_bank(bank, precision="int8")
    assert stored.codes.dtype == np.int8
    step = np.abs(bank).max(axis=1, keepdims=True) / 127
    assert (np.abs(stored.opened() - bank) <= 0.5001 * step).all()


@given(banks)
def test_float16_keeps_eleven_bits_of_whatever_is_not_tiny(bank: Single) -> None:
    stored = store_bank(bank, precision="float16")
    assert stored.codes.dtype == np.float16
    largest = np.abs(bank).max(axis=1, keepdims=True)
    allowed = np.maximum(np.abs(bank) * 2.0**-11, largest * 2.0**-25) * 1.001
    assert (np.abs(stored.opened() - bank) <= allowed).all()


@pytest.mark.parametrize(("precision", "size"), [("float16", 2), ("int8", 1)])
def test_its_size_is_that_of_the_features_and_a_scale_a_frame(
    precision: BankPrecision, size: int
) -> None:
    stored = store_bank(np.ones((5, 70), np.float32), precision=precision)
    assert stored.nbytes == 5 * 70 * size + 5 * 4
    assert (stored.frames, stored.precision) == (5, precision)
    np.testing.assert_array_equal(stored.opened(), np.ones((5, 70)))


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no finite numbers"):
        store_bank(np.array([[1.0, np.nan]]), precision="int8")
