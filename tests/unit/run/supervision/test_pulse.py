"""What the kernel is asked of a worker."""

import subprocess

from streamline.run.supervision import pulse


def test_a_worker_that_ends_while_it_is_looked_at_has_no_threads() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert pulse._states(process.pid) == {}
    assert pulse._schedule(process.pid) == {}
    assert pulse._task(process.pid, process.pid) is None
