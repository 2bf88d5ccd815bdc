"""The search for the largest load."""

import pytest

from streamline.bench.search import largest


@pytest.mark.parametrize("bound", [0, 1, 2, 3, 7, 8, 9, 100, 1023])
def test_the_largest_that_is_borne_is_found_and_nothing_is_tried_twice(bound: int) -> None:
    tried: list[int] = []

    def bears(load: int) -> bool:
        tried.append(load)
        return load <= bound

    assert largest(bears) == bound
    assert len(tried) == len(set(tried)) <= 2 * bound.bit_length() + 1


def test_nothing_above_the_most_is_tried() -> None:
    tried: list[int] = []

    def bears(load: int) -> bool:
        tried.append(load)
        return True

    assert largest(bears, most=10) == 10
    assert max(tried) == 10
