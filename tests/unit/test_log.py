"""The log: a line for people where they look on, JSON elsewhere, and never in the way."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streamline import log


@pytest.mark.parametrize("tell", [log.info, log.warning, log.error], ids=lambda one: one.__name__)
def test_an_event_is_one_line_of_json_that_begins_with_what_all_have(
    tell: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    before = datetime.now(UTC)
    tell("camera is down", camera="left", path=Path("a b"), lines="one\ntwo")
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    entry = json.loads(told.err)
    assert list(entry) == ["timestamp", "level", "event", "camera", "path", "lines"]
    assert before <= datetime.fromisoformat(entry.pop("timestamp")) <= datetime.now(UTC)
    assert entry == {
        "level": tell.__name__,
        "event": "camera is down",
        "camera": "left",
        "path": repr(Path("a b")),
        "lines": "one\ntwo",
    }


def test_what_nobody_expected_is_told_with_its_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        int("seven")
    except ValueError:
        log.exception("worker failed", worker="infer")
    entry = json.loads(capsys.readouterr().err)
    assert (entry["level"], entry["worker"]) == ("error", "infer")
    assert entry["exception"].startswith("Traceback")
    assert entry["exception"].endswith("invalid literal for int() with base 10: 'seven'")


def test_a_terminal_gets_a_line_to_read() -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, redirect_stderr(terminal):
        log.warning("peer is there", peer="infer", offset_ms=0.5)
    line = os.read(ours, 1000).decode().rstrip()
    os.close(ours)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT[\d:.]+Z \[warning\] peer is there {20}peer=infer offset_ms=0\.5", line
    )


def test_a_reader_that_has_gone_ends_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    raw = os.fdopen(writer, "wb", buffering=0)
    with io.TextIOWrapper(raw, write_through=True) as pipe, redirect_stderr(pipe):
        log.error("infer is stuck")


def test_to_log_costs_no_library() -> None:
    code = "import sys; from streamline import log; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"logging", "asyncio", "rich"} & set(done.stdout.split())
