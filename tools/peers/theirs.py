"""Anomalib in an environment of its own, outside the checkout, kept between runs."""

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

from streamline.bench.processor import OtherWork
from streamline.errors import InputError, LineError
from tools.peers.figures import Contender, Run

__all__ = ["Anomalib", "make_environment"]

_PACKAGES: Final = (("torch==2.13.0", "torchvision==0.28.0"), ("anomalib==2.7.0", "openvino"))
"""In this order: torch first and exactly, or another package would take its build for CUDA."""

_WORKER: Final = Path(__file__).with_name("worker.py")


def make_environment(folder: Path) -> Path:
    """Return the environment's interpreter; the first time this takes minutes and 2 GB.

    Raises
    ------
    InputError
        If it can't be made there, or the packages can't be had.
    """
    python, stamp = folder / "bin" / "python", folder / ".complete"
    wanted = repr(_PACKAGES)
    try:
        if stamp.is_file() and stamp.read_text() == wanted:
            return python
        print(f"making the environment {folder}", file=sys.stderr)
        _run(sys.executable, "-m", "venv", str(folder))
        for packages in _PACKAGES:
            _run(
                *(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
                *packages,
            )
        stamp.write_text(wanted)
    except (OSError, subprocess.CalledProcessError) as exc:
        msg = (
            f"{folder}: no environment with anomalib can be made there ({_why(exc)}); name another "
            "folder with --environment, or see that pip can fetch packages"
        )
        raise InputError(msg) from exc
    return python


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _why(error: OSError | subprocess.CalledProcessError) -> str:
    """Return what was said last, which is what it failed for."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    lines = str(error.stdout).split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no word why")


class Anomalib:
    """Its models, opened once in a process that waits without work between two questions.

    Raises
    ------
    LineError
        If the process ends before its time.
    """

    def __init__(self, python: Path, clip: Path, folder: Path) -> None:
        self._process = subprocess.Popen(
            [python, "-W", "ignore", _WORKER, clip, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,  # Its inferencer keeps compiled graphs where it is.
        )
        self.contenders = [Contender(*one) for one in self._answer()["contenders"]]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()

    def run(self, contender: Contender, seconds: float) -> Run:
        """Run one of the contenders for a while."""
        asked = {"number": self.contenders.index(contender), "seconds": seconds}
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        with OtherWork() as others:
            print(json.dumps(asked), file=self._process.stdin, flush=True)
            fps = float(self._answer()["fps"])
        return Run(fps=fps, others=others.share)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            msg = f"anomalib's process ended with exit status {status}; it has said why"
            raise LineError(msg)
        return cast("dict[str, Any]", json.loads(line))
