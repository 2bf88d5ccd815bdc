"""Run the program as a user does, in processes of its own, and look at it from outside."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["RunningLine", "eventually", "json_lines", "streamline", "whole_lines"]

_COMMAND = [sys.executable, "-m", "streamline"]
_ROOT = Path(__file__).resolve().parents[2]


def _environment() -> dict[str, str]:
    """Let the checkout's package be found from any folder."""
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    found = os.pathsep.join(filter(None, paths))
    # A process that dies of a signal says where its threads were.
    return {**os.environ, "PYTHONPATH": found, "PYTHONFAULTHANDLER": "1"}


def streamline(
    *arguments: str | Path, timeout_s: float = 300, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, whatever its exit status."""
    return subprocess.run(
        [*_COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        cwd=cwd,
        env=_environment(),
    )


def eventually(holds: Callable[[], bool], what: str, *, limit_s: float = 90) -> None:
    """Wait until something holds; fail, saying what, if it does not in a generous time."""
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end, f"not within {limit_s:g} s: {what}"
        time.sleep(0.05)


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines; none if the file is not there."""
    return [json.loads(line) for line in whole_lines(path)]


def whole_lines(path: Path) -> list[str]:
    """Read a file that somebody may be writing: for the rest of a last line it waits a moment."""
    text = b""
    for _ in range(20 if path.exists() else 0):
        text = path.read_bytes()
        if not text or text.endswith(b"\n"):
            break
        time.sleep(0.05)
    return text.decode().splitlines()


class RunningLine:
    """``streamline run`` (or ``stage NAME``) while the context is open.

    Parameters
    ----------
    pipeline : Path
    folder : Path
        Where its log and figures are kept.
    stage : str
        Run only this stage.
    within : sequence of str
        Command that runs it somewhere else on this machine.
    """

    def __init__(
        self, pipeline: Path, folder: Path, *, stage: str = "", within: Sequence[str] = ()
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"log-{stage or 'run'}.txt"
        self._json = folder / f"report-{stage or 'run'}.json"
        verb = ["stage", stage] if stage else ["run"]
        self._command = [*within, *_COMMAND]
        self._arguments = [*verb, str(pipeline), "--json", str(self._json)]
        # A part keeps its counters for its next start; they go with the test's files.
        self._place = {"XDG_RUNTIME_DIR": str(pipeline.parent)} if stage else {}
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*self._command, *self._arguments],
                stdout=log,
                stderr=log,
                env={**self._place, **_environment()},
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self.signal_all(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGABRT)  # Where it hangs is then in its log.
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(10)
                self.signal_all(signal.SIGKILL)
                self._process.wait()
        if kind is not None:
            sys.stderr.write(self.log)

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything the line has printed so far."""
        return self._log.read_text(errors="replace")

    @property
    def _told(self) -> str:
        """The log but for a line that is being written."""
        return self.log.rpartition("\n")[0]

    def await_ready(self) -> None:
        """Wait until the line says that it is ready."""
        eventually(
            lambda: "the line is ready" in self._told or self._process.poll() is not None,
            "the line is ready",
        )
        assert self._process.poll() is None, f"the line ended early:\n{self.log}"

    @property
    def url(self) -> str:
        """Address of the HTTP endpoint, of a line that is ready."""
        return self._told.split("figures at ")[1].split("/metrics")[0]

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of one HTTP request."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=20) as reply:  # noqa: S310
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read().decode()

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Scrape once: value by series name and labels."""
        status, page = self.get("/metrics")
        assert status == 200, page
        families = text_string_to_metric_families(page)
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def metric(self, name: str, **labels: str) -> float:
        """One series as it stands now."""
        return self.metrics()[name, frozenset(labels.items())]

    def stop(self) -> None:
        """SIGTERM, as a service manager does."""
        self._process.send_signal(signal.SIGTERM)

    def signal_all(self, signum: signal.Signals) -> None:
        """Send a signal to every process of the line, and of what it runs within."""
        os.killpg(self._process.pid, signum)

    def wait(self, limit_s: float = 200) -> int:
        """Exit status, once it has ended by itself or by `stop`."""
        return self._process.wait(limit_s)

    @property
    def report_file(self) -> Path:
        """Where the figures of the finished run are."""
        return self._json

    def report(self) -> dict[str, Any]:
        """Figures of the finished run; checks that the accounting closes."""
        report: dict[str, Any] = json.loads(self._json.read_text())
        for name, camera in report["cameras"].items():
            known = sum(camera["judged"].values()) + sum(camera["dropped"].values())
            assert camera["captured"] == known + camera["in_flight"], (name, camera)
        return report
