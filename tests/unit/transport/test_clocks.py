"""A peer's clock as known from time stamps, against clocks whose truth the test knows."""

from hypothesis import given
from hypothesis import strategies as st

from streamline.clock import UNKNOWN_CLOCK
from streamline.transport.clocks import ClockComparison

MS = 1_000_000
SECOND = 1000 * MS

EXCHANGES = st.lists(
    st.tuples(
        st.integers(0, 3 * SECOND),  # pause before
        st.integers(0, 200 * MS),  # way there
        st.integers(0, 200 * MS),  # way back
    ),
    min_size=1,
    max_size=30,
)


class Peer:
    """A clock that starts *offset_ns* ahead of ours and goes *drift_ppm* faster."""

    def __init__(self, offset_ns: int, drift_ppm: float) -> None:
        self._offset_ns = offset_ns
        self._drift = drift_ppm / 1e6

    def at(self, own_ns: int) -> int:
        """What it shows when ours shows this."""
        return own_ns + self.ahead_ns(own_ns)

    def ahead_ns(self, own_ns: int) -> int:
        """How far it is ahead then."""
        return self._offset_ns + round(own_ns * self._drift)

    def jump(self, ns: int) -> None:
        """Be set."""
        self._offset_ns += ns


def exchange(comparison: ClockComparison, peer: Peer, asked_ns: int, there: int, back: int) -> int:
    """Ask the peer for its time; return when the answer was heard."""
    heard_ns = asked_ns + there + back
    comparison.add(asked_ns=asked_ns, told_ns=peer.at(asked_ns + there), heard_ns=heard_ns)
    return heard_ns


def test_nothing_is_known_before_the_first_answer() -> None:
    assert ClockComparison().shift(5) == UNKNOWN_CLOCK


@given(
    offset_ns=st.integers(-(10**17), 10**17),
    drift_ppm=st.floats(-199, 199),
    exchanges=EXCHANGES,
    later_ns=st.integers(0, 100 * SECOND),
)
def test_the_truth_is_always_within_the_error(
    offset_ns: int, drift_ppm: float, exchanges: list[tuple[int, int, int]], later_ns: int
) -> None:
    peer, comparison, now_ns = Peer(offset_ns, drift_ppm), ClockComparison(), 0
    for pause, there, back in exchanges:
        now_ns = exchange(comparison, peer, now_ns + pause, there, back)
        for at_ns in (now_ns, now_ns + later_ns):
            shift = comparison.shift(at_ns)
            assert shift.error_ns is not None
            # Rounding to whole ns, here and there.
            assert abs(shift.ns - peer.ahead_ns(at_ns)) <= shift.error_ns + 3


@given(exchanges=EXCHANGES)
def test_the_error_is_never_larger_than_half_the_quickest_exchange_and_drift_since(
    exchanges: list[tuple[int, int, int]],
) -> None:
    peer, comparison, now_ns = Peer(7, 0), ClockComparison(), 0
    bounds: list[float] = []
    for pause, there, back in exchanges:
        now_ns = exchange(comparison, peer, now_ns + pause, there, back)
        # Compared at the time 0, which is the same for all: each has grown by the drift since.
        bounds.append((there + back) // 2 + (there + back - now_ns) / 5000)
        error_ns = comparison.shift(now_ns).error_ns
        assert error_ns is not None
        assert error_ns <= min(bounds) + now_ns / 5000 + 2 * len(bounds)


def test_one_quick_exchange_outweighs_many_that_were_held_up() -> None:
    peer, comparison = Peer(3 * SECOND, 0), ClockComparison()
    now_ns = exchange(comparison, peer, 0, 100_000, 100_000)
    for _ in range(20):
        now_ns = exchange(comparison, peer, now_ns + 10 * MS, 80 * MS, 1 * MS)
    shift = comparison.shift(now_ns)
    assert abs(shift.ns - 3 * SECOND) < MS
    assert shift.error_ns is not None
    assert shift.error_ns < MS


def test_the_error_grows_while_nothing_is_heard() -> None:
    comparison = ClockComparison()
    exchange(comparison, Peer(0, 0), 0, 0, 0)
    assert comparison.shift(10 * SECOND).error_ns == 2 * MS


def test_a_clock_that_jumped_is_believed_from_the_next_answer_on() -> None:
    peer, comparison = Peer(0, 0), ClockComparison()
    exchange(comparison, peer, 0, MS, MS)
    peer.jump(3600 * SECOND)
    now_ns = exchange(comparison, peer, SECOND, MS, MS)
    assert abs(comparison.shift(now_ns).ns - 3600 * SECOND) <= MS


@given(asked=st.integers(), told=st.integers(), heard=st.integers(0, 2**62))
def test_a_lie_is_bounded(asked: int, told: int, heard: int) -> None:
    comparison = ClockComparison()
    comparison.add(asked_ns=asked, told_ns=told, heard_ns=heard)
    shift = comparison.shift(heard)
    assert shift == UNKNOWN_CLOCK or (
        abs(shift.ns) <= 2**60 and 0 <= (shift.error_ns or 0) <= 2**60
    )
