"""A program of the user's gets each event once, and is never waited for too long."""

import json
import os
import sys
from pathlib import Path

import psutil
import pytest

from streamline.alert.sinks import Command
from tests.support.line import eventually


def python(code: str, *arguments: str, timeout_s: float = 30) -> Command:
    return Command([sys.executable, "-c", code, *arguments], timeout_s=timeout_s)


def test_it_reads_the_event_and_is_told_the_alert_s_id(tmp_path: Path) -> None:
    code = (
        "import os, sys; open(sys.argv[1], 'a').write("
        "os.environ['STREAMLINE_ALERT'] + ' ' + sys.stdin.read() + '\\n')"
    )
    sink = python(code, str(tmp_path / "told"))
    sink.deliver("left-1-7", b'{"type":"new"}')
    sink.deliver("left-1-7", b'{"type":"end"}')
    sink.close()
    told = (tmp_path / "told").read_text()
    assert told == 'left-1-7 {"type":"new"}\nleft-1-7 {"type":"end"}\n'


def test_it_is_given_what_is_the_user_s_and_what_is_asked_for_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CAMERA_PASSWORD", "PAGER_TOKEN", "LC_MESSAGES", "HOME"):
        monkeypatch.setenv(name, f"my {name}")
    code = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w'))"
    told = str(tmp_path / "told")
    Command(
        [sys.executable, "-c", code, told], env=["PAGER_TOKEN", "PAGER_TEAM"], timeout_s=30
    ).deliver("left-1-7", b"{}")
    given = json.loads((tmp_path / "told").read_text())
    assert "CAMERA_PASSWORD" not in given
    for name in ("PAGER_TOKEN", "LC_MESSAGES", "HOME"):
        assert given[name] == f"my {name}"
    assert given["PATH"] == os.environ["PATH"]
    assert given["STREAMLINE_ALERT"] == "left-1-7"
    assert {name for name in given if not name.startswith("LC_")} <= {
        "HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER",
        "PAGER_TOKEN", "STREAMLINE_ALERT",
    }  # fmt: skip


def test_no_shell_reads_what_it_is_given(tmp_path: Path) -> None:
    code = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"
    word = "$(touch evil); `id` > $HOME * && false"
    python(code, str(tmp_path / "told"), word).deliver("a", b"{}")
    assert (tmp_path / "told").read_text() == word


def test_a_program_that_reads_nothing_is_no_failure() -> None:
    python("pass").deliver("a", b"x" * 1_000_000)


def test_its_last_words_tell_why_it_failed() -> None:
    code = "import sys; print('first\\nno paging service', file=sys.stderr); sys.exit(3)"
    with pytest.raises(OSError, match=r"ends with status 3: no paging service$"):
        python(code).deliver("a", b"{}")


def test_a_program_that_is_not_there_is_an_os_error() -> None:
    with pytest.raises(FileNotFoundError):
        Command(["/no/such/program"], timeout_s=1).deliver("a", b"{}")


def test_one_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    # A shell, since that has long begun when its time is over.
    code = 'sleep 1000 & echo $! > "$1"; wait'
    pid = tmp_path / "pid"
    with pytest.raises(OSError, match="took longer than 3 s and was killed"):
        Command(["sh", "-c", code, "sh", str(pid)], timeout_s=3).deliver("a", b"{}")
    eventually(lambda: has_ended(int(pid.read_text())), "the end of its child")


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
