"""Ten thousand alerts at once, told by a real alert stage to real sinks."""

import sys
from pathlib import Path

from tools.faults.burst import burst

ALERTS = 10_000


def test_ten_thousand_alerts_in_a_burst_are_all_delivered(tmp_path: Path, nervous: Path) -> None:
    found = burst(tmp_path / "burst", nervous, alerts=ALERTS, hook=False)
    sys.stdout.write(f"{found}\n")
    assert found.unaccounted == 0
    assert found.raised == found.delivered == ALERTS
    assert found.repeated == 0
