"""What a promise says, in words."""

import numpy as np
import pytest

from streamline.alert.promise import promise_of
from streamline.cli.promise import promise_lines
from streamline.model import Calibration


@pytest.mark.parametrize(
    ("interval_s", "fps", "hour", "condition"),
    [
        # No alert in 400 frames: 2.996 of them at most, so 2.996 / 400 * 3600 * fps an hour.
        (0.2, None, "at 5 frames a second, an hour: 0, at most 135 (95 %)", "a line that judges"),
        (0.2, 30, "at 30 frames a second, an hour: 0, at most 809 (95 %)", ", 0.2 s apart"),
        (None, 30, "at 30 frames a second, an hour: 0, at most 809 (95 %)", "as these do"),
    ],
)
def test_false_alarms_are_told_for_the_rate_of_the_line_and_what_that_rests_on(
    interval_s: float | None, fps: float | None, hour: str, condition: str
) -> None:
    calibration = Calibration(
        alpha=0.01,
        scores=np.zeros(400),
        way="split",
        effective_frames=100.0,
        blocks=10,
        gap=2,
        interval_s=interval_s,
        source="./good",
        created="2031-01-02T03:04:05+00:00",
    )
    told = promise_lines(calibration, promise_of(calibration, fps=fps)).splitlines()
    line = next(line for line in told if "false alarms to be expected" in line)
    assert hour in line
    assert line.rpartition("; ")[2].startswith("if frames hang") is (fps is not None)
    assert condition in line
