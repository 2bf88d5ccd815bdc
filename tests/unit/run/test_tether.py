"""Processes that end with the one that started them, whatever they are doing."""

import subprocess
import sys
from pathlib import Path

import psutil

from streamline.run.tether import end_with_supervisor

SUPERVISOR = """
import multiprocessing, os, signal, sys
from streamline.run.tether import end_with_supervisor
def work(told, stops):
    end_with_supervisor()
    told.put(os.getpid())
    if stops:
        os.kill(os.getpid(), signal.SIGSTOP)
    signal.pause()
if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    told = context.SimpleQueue()
    for stops in (False, True):
        context.Process(target=work, args=(told, stops)).start()
    print(told.get(), told.get(), flush=True)
    sys.stdin.read()
"""


def test_workers_are_killed_with_their_supervisor_also_one_that_is_stopped(tmp_path: Path) -> None:
    script = tmp_path / "supervisor.py"
    script.write_text(SUPERVISOR)
    supervisor = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    workers = [psutil.Process(int(pid)) for pid in supervisor.stdout.readline().split()]
    assert len(workers) == 2
    # Nobody waits for it yet: to a process that looks it up by its number it would seem to live.
    supervisor.kill()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
    supervisor.wait()
    supervisor.stdin.close()
    supervisor.stdout.close()


def test_the_supervisor_itself_is_tied_to_nobody() -> None:
    end_with_supervisor()
