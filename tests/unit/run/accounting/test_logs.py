"""Logs of a line whose disk is full or gone for a while."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from streamline.errors import InputError
from streamline.ledger import Ledger
from streamline.run.accounting.logs import LineLog
from tests.support.disks import files_no_longer_than


def lost(ledger: Ledger) -> float:
    (sample,) = ledger.samples()
    assert (sample.name, sample.labels) == ("streamline_log_lines_lost_total", {"log": "drops"})
    return float(sample.values[0])


def test_a_log_comes_back_with_its_disk_and_what_was_lost_is_counted(tmp_path: Path) -> None:
    ledger, path = Ledger(), tmp_path / "drops.jsonl"
    log = LineLog(ledger, "drops", path)
    log.open()
    log.write([b"1"])
    with capture_logs() as told, files_no_longer_than(6):
        log.write([b"2", b"345", b"6"])  # Room for the first, and a part of the second.
        log.write([b"7777"])
        log.write([b"8888"])
    assert lost(ledger) == 4
    with capture_logs() as later:
        log.write([b"9"])
    log.close()
    assert path.read_text().split() == ["1", "2", "9"]
    # Once for as long as it lasts, and once when it is over.
    assert [one["log_level"] for one in told + later] == ["error", "warning"]
    assert later[0]["lines_lost"] == 4
    assert lost(ledger) == 4


def test_a_log_whose_file_can_not_be_opened_any_more_is_opened_when_it_can(tmp_path: Path) -> None:
    ledger, folder = Ledger(), tmp_path / "gone"
    folder.write_text("no folder")
    log = LineLog(ledger, "drops", folder / "drops.jsonl")
    log.write([b"1", b"2"])
    assert lost(ledger) == 2
    folder.unlink()
    log.write([b"3"])
    log.close()
    assert (folder / "drops.jsonl").read_text() == "3\n"


def test_at_the_start_a_log_that_can_not_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be written"):
        LineLog(Ledger(), "drops", tmp_path).open()


def test_a_log_that_nobody_wants_is_no_file(tmp_path: Path) -> None:
    log = LineLog(Ledger(), "drops", None)
    log.open()
    log.write([b"1"])
    log.close()
    assert not log.is_wanted
    assert list(tmp_path.iterdir()) == []
