"""What a process writes to standard error: to a file, to the journal, to a terminal."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
BEGIN = "import structlog; from streamline.log import configure_logging; configure_logging();"
LOG = BEGIN + "log = structlog.get_logger('streamline.test');"


def written(code: str, folder: Path, *, journal: bool = False) -> list[str]:
    """Run code with standard error going to a file, or to what it takes for the journal."""
    path = folder / "stderr"
    with path.open("wb") as file:
        there = os.fstat(file.fileno())
        stream = {"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"} if journal else {}
        subprocess.run(
            [sys.executable, "-c", code], stderr=file, env={**ENVIRONMENT, **stream}, check=True
        )
    return path.read_text().splitlines()


def test_an_event_is_one_line_of_json_with_camera_and_frame(tmp_path: Path) -> None:
    code = LOG + "log.warning('frame set aside', camera='left', incarnation=7, seq=3, why='a\\nb')"
    (line,) = written(code, tmp_path)
    event = json.loads(line)
    assert list(event)[:3] == ["timestamp", "level", "event"]
    del event["timestamp"]
    assert event == {
        "level": "warning",
        "event": "frame set aside",
        "camera": "left",
        "incarnation": 7,
        "seq": 3,
        "why": "a\nb",
    }


def test_a_traceback_is_part_of_its_event(tmp_path: Path) -> None:
    code = LOG + "\ntry: 1 / 0\nexcept ZeroDivisionError: log.exception('failed', camera='left')"
    (line,) = written(code, tmp_path)
    assert "ZeroDivisionError" in json.loads(line)["exception"]


def test_the_journal_is_told_the_level_of_each_line(tmp_path: Path) -> None:
    code = LOG + "log.info('a'); log.warning('b'); log.error('c'); log.critical('d')"
    lines = written(code, tmp_path, journal=True)
    assert [line[:3] for line in lines] == ["<6>", "<4>", "<3>", "<2>"]
    assert [json.loads(line[3:])["event"] for line in lines] == ["a", "b", "c", "d"]


def test_a_service_whose_log_goes_elsewhere_does_not_write_the_journals_levels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "JOURNAL_STREAM", "1:2")
    (line,) = written(LOG + "log.error('c')", tmp_path)
    assert line.startswith("{")


def test_a_flood_is_limited_and_counted_also_where_the_process_ends_at_once(tmp_path: Path) -> None:
    code = (
        LOG + "\nfor n in range(1000): log.error('sink fails', sink='mqtt', why=str(n))\n"
        "from streamline.log import flush_logging; flush_logging(); import os; os._exit(0)"
    )
    events = [json.loads(line) for line in written(code, tmp_path)]
    assert [event["why"] for event in events] == ["0", "1", "2", "3", "4", "999"]
    assert events[-1]["repeated"] == 994
    ended = written(code.replace("import os; os._exit(0)", ""), tmp_path)
    assert len(ended) == len(events)


def test_no_line_holds_credentials_whoever_logs_them(tmp_path: Path) -> None:
    code = LOG + "log.error('lost rtsp://bob:hush@cam/x', why='rtsp://bob:hush@cam/x: gone')"
    (line,) = written(code, tmp_path)
    assert "hush" not in line
    assert json.loads(line)["why"] == "rtsp://***@cam/x: gone"


def test_libraries_and_warnings_come_the_same_way(tmp_path: Path) -> None:
    code = (
        BEGIN + "import logging, warnings; logging.getLogger('pymodbus').error('no %s', 'answer');"
        "logging.getLogger('pymodbus').info('chatter');"
        "warnings.warn('odd', RuntimeWarning)"
    )
    first, second = map(json.loads, written(code, tmp_path))
    assert (first["level"], first["event"], first["logger"]) == ("error", "no answer", "pymodbus")
    assert (second["level"], "RuntimeWarning: odd" in second["event"]) == ("warning", True)


def test_a_person_at_a_terminal_reads_no_json() -> None:
    ours, theirs = pty.openpty()
    code = LOG + "log.warning('camera is down', camera='left')"
    subprocess.run([sys.executable, "-c", code], stderr=theirs, env=ENVIRONMENT, check=True)
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert "camera is down" in shown
    assert "{" not in shown


def test_a_log_that_a_full_disk_does_not_take_fails_nobody() -> None:
    code = LOG + "log.error('first', why='x'); log.warning('second'); print('goes on')"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=False,
            stderr=full,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )
    assert (done.returncode, done.stdout) == (0, b"goes on\n")
