"""The wall clock, held against what the system's own tools say."""

import subprocess
import time

import pytest

from streamline.clock import wall_ns
from streamline.doctor import clock as module
from streamline.doctor.clock import ClockWatch, clock
from streamline.doctor.finding import Status


def test_the_kernel_is_asked_as_its_own_header_has_it() -> None:
    """Python's build has no adjtimex; Perl's header-free call has: syscall 159 of x86-64."""
    error_us = module._error_us()
    assert error_us is not None
    perl = (
        "$_ = pack('L x4 q4 l x4', 0, 0, 0, 0, 0, 0) . ' ' x 256;"
        "syscall(159, $_) >= 0 or exit 1; @f = unpack('L x4 q4 l', $_); print $f[5] & 0x40"
    )
    done = subprocess.run(["perl", "-e", perl], capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        pytest.skip("no Perl, or another processor")
    assert (error_us >= 0) is (done.stdout == "0")


@pytest.mark.parametrize(
    ("error_us", "status", "word"),
    [
        (None, Status.OK, "not told here"),
        (-1, Status.WARN, "does not know it to be kept by NTP"),
        (1500, Status.OK, "kept by NTP within 2 ms"),
    ],
    ids=["may-not-ask", "unkept", "kept"],
)
def test_what_the_kernel_says_is_told(
    error_us: int | None, status: Status, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_error_us", lambda: error_us)
    found = clock(ClockWatch())
    assert (found.status, word in found.what) == (status, True)


def test_a_clock_that_is_set_meanwhile_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = ClockWatch()
    now_ns = wall_ns()
    monkeypatch.setattr(module, "wall_ns", lambda: now_ns + 3_600_000_000_000)
    found = clock(watch)
    assert (found.status, "+3600" in found.what) == (Status.WARN, True)


def test_one_who_is_held_up_between_two_clocks_has_not_seen_one_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses = [0.2, 0.0, 0.0, 0.0, 0.2, 0.0]

    def held_up() -> int:
        now_ns = wall_ns()
        time.sleep(pauses.pop(0))
        return now_ns

    monkeypatch.setattr(module, "wall_ns", held_up)
    assert abs(ClockWatch().jump_s()) < 0.1


def test_a_clock_without_a_battery_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "wall_ns", lambda: 86_400_000_000_000)
    found = clock(ClockWatch())
    assert found.what == "it says 1970-01-02 00:00:00 UTC, which can't be"
    assert "timedatectl" in found.remedy
