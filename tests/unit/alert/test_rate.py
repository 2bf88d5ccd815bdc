"""The bound on how much evidence is stored."""

from hypothesis import given
from hypothesis import strategies as st

from streamline.alert.rate import TokenBucket


@given(st.lists(st.integers(0, 2_000), max_size=200), st.integers(1, 6))
def test_no_span_of_time_holds_more_than_burst_and_rate_allow(
    gaps_ms: list[int], burst: int
) -> None:
    now_ns = 0
    bucket = TokenBucket(2.0, burst=burst, clock=lambda: now_ns)
    taken_ns = []
    for gap in gaps_ms:
        now_ns += gap * 1_000_000
        if bucket.take():
            taken_ns.append(now_ns)
    for first, start_ns in enumerate(taken_ns):
        for last, end_ns in enumerate(taken_ns[first:], first):
            assert last - first + 1 <= burst + 2.0 * (end_ns - start_ns) / 1e9 + 1e-6


def test_what_comes_no_faster_than_the_rate_is_never_refused() -> None:
    now_ns = 0
    bucket = TokenBucket(2.0, burst=1, clock=lambda: now_ns)
    for _ in range(1000):
        assert bucket.take()
        now_ns += 500_000_000
