"""Due times: steady, never early, and what passed unread is missed."""

from hypothesis import given
from hypothesis import strategies as st

from streamline.source.pace import Pacer

MS = 1_000_000


class ManualClock:
    """A clock that only moves when somebody waits or works."""

    def __init__(self) -> None:
        self.now_ns = 7_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def wait(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


def pacer_at(rate_hz: float) -> tuple[Pacer, ManualClock]:
    clock = ManualClock()
    return Pacer(rate_hz, wait=clock.wait, clock=clock), clock


def test_the_clock_starts_with_the_first_turn_so_opening_late_misses_nothing() -> None:
    pacer, clock = pacer_at(25)
    clock.now_ns += 3_000 * MS
    assert pacer.turn() == (0, 0)
    assert pacer.due_ns(0) == clock.now_ns


def test_a_punctual_reader_gets_every_frame_at_its_due_time() -> None:
    pacer, clock = pacer_at(25)
    start_ns = clock.now_ns
    for number in range(100):
        assert pacer.turn() == (number, 0)
        assert clock.now_ns == start_ns + number * 40 * MS
        clock.now_ns += 39 * MS


def test_less_than_a_period_late_is_not_missed_and_is_captured_when_it_was_due() -> None:
    pacer, clock = pacer_at(25)
    start_ns = clock.now_ns
    pacer.turn()
    clock.now_ns += 79 * MS
    assert pacer.turn() == (1, 0)
    assert pacer.due_ns(1) == start_ns + 40 * MS


def test_frames_whose_period_passed_unread_are_missed() -> None:
    pacer, clock = pacer_at(25)
    pacer.turn()
    clock.now_ns += 130 * MS  # frames 1 and 2 have come and gone, 3 was due 10 ms ago
    assert pacer.turn() == (3, 2)
    assert pacer.turn() == (4, 0)


def test_due_times_do_not_drift_from_the_rate_within_a_day() -> None:
    pacer, clock = pacer_at(30_000 / 1001)
    start_ns = clock.now_ns
    pacer.turn()
    frames = round(86_400 * 30_000 / 1001)
    expected_ns = frames * 1001 * 10**9 // 30_000
    assert abs(pacer.due_ns(frames) - start_ns - expected_ns) <= 16


@given(st.floats(0.5, 500), st.lists(st.integers(0, 3_000), min_size=1, max_size=50))
def test_whatever_the_reader_does_numbers_close_and_nothing_comes_early(
    rate_hz: float, work_ms: list[int]
) -> None:
    pacer, clock = pacer_at(rate_hz)
    start_ns = clock.now_ns
    delivered = missed = 0
    for milliseconds in work_ms:
        due = pacer.turn()
        delivered, missed = delivered + 1, missed + due.missed
        assert due.number == delivered + missed - 1
        due_s = due.number / rate_hz
        late_s = (clock.now_ns - start_ns) / 1e9 - due_s
        assert -1e-6 <= late_s < 1 / rate_hz + 1e-6
        clock.now_ns += milliseconds * MS
