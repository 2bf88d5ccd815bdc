"""Work in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from streamline.bench.apart import Apart
from streamline.errors import LineError, ModelError
from streamline.model import load_model
from tests.support.line import eventually


def test_the_work_is_done_elsewhere_and_that_process_ends() -> None:
    with Apart() as process:
        elsewhere = process.call(os.getpid)
        assert elsewhere != os.getpid()
        assert process.call(os.path.join, "a", "b") == "a/b"
        assert psutil.pid_exists(elsewhere)
    assert not psutil.pid_exists(elsewhere)


def test_what_goes_wrong_is_raised_here_and_the_next_call_is_served() -> None:
    with Apart() as process:
        with pytest.raises(ModelError, match="no/such/model"):
            process.call(load_model, Path("no/such/model"))
        assert process.call(abs, -1) == 1


def test_a_death_is_one_sentence() -> None:
    with Apart() as process, pytest.raises(LineError, match="exit status 7"):
        process.call(os._exit, 7)


def test_ctrl_c_leaves_it_to_the_caller() -> None:
    with Apart() as process:
        os.kill(process.call(os.getpid), signal.SIGINT)
        assert process.call(abs, -1) == 1


def test_it_ends_with_a_caller_that_is_killed() -> None:
    code = (
        "import os, signal\n"
        "from streamline.bench.apart import Apart\n"
        "if __name__ == '__main__':\n"
        "    with Apart() as process:\n"
        "        print(process.call(os.getpid), flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid = int(done.stdout)
    eventually(lambda: not psutil.pid_exists(pid), "the end of the other process")
