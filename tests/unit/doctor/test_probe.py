"""How evenly frames come, held against what is known of made-up arrivals."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamline.config import parse_source
from streamline.doctor.probe import probe, rhythm


def nanoseconds(times_s: Iterable[float]) -> list[int]:
    return [round(one * 1e9) for one in times_s]


@given(st.integers(5, 60), st.floats(0.0, 1e6), st.floats(0.0, 5.0))
def test_an_even_camera_has_no_jitter_wherever_its_clock_stands(
    fps: int, begun_s: float, late_s: float
) -> None:
    due_s = np.arange(50) / fps
    found = rhythm(nanoseconds(due_s + late_s), [begun_s + one for one in due_s])
    assert found.fps == pytest.approx(fps, rel=1e-3)
    assert found.jitter_ms == pytest.approx(0.0, abs=1e-2)
    assert found.longest_gap_ms == pytest.approx(1e3 / fps, abs=1e-2)


def test_jitter_is_what_is_below_in_95_of_100_gaps() -> None:
    due_s = np.arange(101) * 0.04
    late_s = np.zeros(101)
    late_s[50] = 0.012  # one frame late: two gaps of 100 differ
    assert rhythm(nanoseconds(due_s + late_s), list(due_s)).jitter_ms == pytest.approx(0, abs=1e-3)
    late_s[10:60:10] = 0.009  # five more: twelve gaps of 100
    assert rhythm(nanoseconds(due_s + late_s), list(due_s)).jitter_ms == pytest.approx(9, abs=1e-3)
    late_s[:] = 0
    late_s[50] = 0.012
    late_s[::2] += 0.007  # every other frame late: each gap differs by as much
    found = rhythm(nanoseconds(due_s + late_s), list(due_s))
    assert found.jitter_ms == pytest.approx(7.0, abs=1e-3)
    assert found.longest_gap_ms == pytest.approx(40 + 7 + 12, abs=1e-3)


def test_a_camera_that_drops_every_other_frame_gives_half_the_rate_and_no_jitter() -> None:
    due_s = np.arange(0, 100, 2) * 0.04
    found = rhythm(nanoseconds(due_s), list(due_s))
    assert (found.fps, found.jitter_ms) == (12.5, 0.0)


def test_without_stamps_gaps_are_held_against_their_mean() -> None:
    found = rhythm(nanoseconds(np.array([0.0, 0.03, 0.08, 0.11, 0.16])), [None] * 5)
    assert (found.fps, found.jitter_ms) == (25.0, 10.0)


def test_two_frames_say_nothing() -> None:
    assert rhythm([0, 1], [0.0, 0.1]).fps is None


def test_a_file_is_looked_at_without_waiting_for_its_clock(tmp_path: Path) -> None:
    seen = probe(parse_source("demo://inspect", tmp_path), seconds=600)
    assert (seen.width, seen.height, seen.codec, seen.frames) == (640, 360, "h264", 50)
    assert seen.rhythm.fps == 25.0
    assert "jitter" not in str(seen)
