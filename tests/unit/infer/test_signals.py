"""A signal that comes after a model was let go is handled, and does not end the process."""

import subprocess
import sys

PROGRAM = """
import gc, os, signal
from pathlib import Path
from streamline.config import parse_source
from streamline.learn import FitSettings, Selection, fit_sources

def handle(*_):
    print("handled", flush=True)

clip = parse_source("demo://normal", Path())
fit_sources([clip], FitSettings(), Selection(max_frames=40))
gc.collect()
signal.signal(signal.SIGTERM, handle)
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_signal_after_a_fit_is_handled() -> None:
    """In a process of its own, which it would end."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
