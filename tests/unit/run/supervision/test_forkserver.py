"""The process that workers are forked from: early, one for all, and gone when not wanted."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

SCRIPT = """
import os, sys
from pathlib import Path
import psutil
from streamline.run.supervision.forkserver import context, dismiss, sheltered, start_early

def servers():
    children = psutil.Process().children()
    return [child.pid for child in children if "forkserver" in " ".join(child.cmdline())]

start_early(Path(sys.argv[1]))
early = servers()
if sys.argv[2] == "dismiss":
    dismiss()
else:
    with sheltered(Path(sys.argv[1])):
        # What was imported before the fork is shared with all: nobody is to look through it.
        check = "import gc, os; os._exit(gc.isenabled() and gc.get_freeze_count() > 10_000)"
        process = context().Process(target=exec, args=(check,))
        process.start()
    process.join()
    assert process.exitcode == 1
print(len(early), servers() == early)
"""


def outcome(then: str) -> str:
    """Start one early in a process of its own; say how many there were, and if they stay."""
    with TemporaryDirectory(prefix="sl") as base:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, base, then],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path.cwd(),
        )
        assert [path.name for path in Path(base).iterdir()] == ["sl-fork-lock"]
    return done.stdout.strip()


def test_the_process_that_was_started_early_is_the_one_that_workers_are_forked_from() -> None:
    assert outcome("fork") == "1 True"


def test_one_that_is_dismissed_is_gone_at_once() -> None:
    assert outcome("dismiss") == "1 False"
