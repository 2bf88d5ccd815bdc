"""Which frames a log names."""

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streamline.messages import FrameId
from streamline.run.accounting.fates import logged_lately


def test_the_last_part_of_a_long_log_is_read_from_a_whole_line_on(tmp_path: Path) -> None:
    log = tmp_path / "drops.jsonl"
    lines = [json.dumps({"camera": "a", "incarnation": 7, "seq": seq}) for seq in range(10_000)]
    log.write_text("\n".join(lines) + "\n")
    found = logged_lately(log)
    assert found == {FrameId("a", 7, seq) for seq in range(10_000 - len(found), 10_000)}
    assert len(found) > 5000


def test_no_log_names_nothing(tmp_path: Path) -> None:
    assert logged_lately(tmp_path / "drops.jsonl") == set()


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/proc/self/mem", id="EIO"),
        pytest.param("drops.jsonl", id="ELOOP"),
        pytest.param("/proc", id="EISDIR"),
    ],
)
def test_a_log_that_no_disk_gives_back_names_nothing_and_that_is_told(
    tmp_path: Path, target: str
) -> None:
    log = tmp_path / "drops.jsonl"
    log.symlink_to(target)
    with capture_logs() as told:
        assert logged_lately(log) == set()
    assert [(one["log_level"], one["file"]) for one in told] == [("error", str(log))]
