"""A worker in a process of its own, on a host that has too little to start it with."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from streamline.run.supervision.supervisor import _SHORT_OF

SCRIPT = """
import signal, sys, time
from multiprocessing import forkserver
from pathlib import Path
import psutil
from streamline.config import load
from streamline.run.placement import plan
from streamline.run.runtime import Runtime
from streamline.run.supervision.forkserver import start_early
from streamline.run.supervision.handles import start

folder = Path(sys.argv[1])
(folder / "line1.yaml").write_text("version: 1\\nmodel: m\\ncameras: {left: demo://inspect}\\n")
pipeline = load(folder / "line1.yaml")
runtime = Runtime(folder / "line")
runtime.folder.mkdir()
start_early(folder)
children = psutil.Process().children()
(server,) = [child for child in children if "forkserver" in " ".join(child.cmdline())]
server.send_signal(signal.SIGSTOP)
read = forkserver.read_signed

def read_of_the_dead(descriptor):
    server.kill()
    return read(descriptor)

forkserver.read_signed = read_of_the_dead
hindrances, worker = [], None
while worker is None:
    try:
        worker = start(plan(pipeline)[0], pipeline, runtime)
    except OSError as exc:
        hindrances.append(exc.errno)
        forkserver.read_signed = read
        time.sleep(0.02)
print(*hindrances)
worker.kill()
"""


def test_where_what_workers_are_forked_from_dies_over_it_one_is_started_later() -> None:
    with TemporaryDirectory(prefix="sl") as folder:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, folder],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path.cwd(),
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    hindrances = {int(one) for one in done.stdout.split()}
    assert hindrances
    assert hindrances <= _SHORT_OF
