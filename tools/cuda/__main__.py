"""Measure a torch device against its own ceiling: scores a second, latency, fits and a whole line.

.venv/bin/python -m tools.cuda --device cuda:0 --json cuda.json
.venv/bin/python -m tools.cuda --device cpu --trial
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from streamline.bench import LineBench, LineSettings, bench_line, line_of_file, to_json
from streamline.bench.apart import Apart
from streamline.bench.limit import Latency, latency, survey
from streamline.bench.model import Tell, best_of
from streamline.bench.processor import OtherWork
from streamline.cli.bench import teller, whole_numbers
from streamline.cli.device import compute_on
from streamline.cli.writing import writable, write_text
from streamline.errors import InputError, StreamlineError
from streamline.infer import Compute, Precision, precisions, settle
from streamline.machine import this_machine
from streamline.model import load_model
from tools.cuda.ceiling import Ceiling, Scale, measured_ceiling
from tools.cuda.figures import DeviceBench, Rate, rate_of
from tools.cuda.subjects import FULL, TRIAL, FitFigures, Subject, fit_subject
from tools.cuda.work import operations_of
from tools.judge.line import own_runtime
from tools.options import above_zero


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    subjects: Sequence[Subject]
    batches: Sequence[int]
    frames: int
    """To fit to."""

    seconds: float
    """Of each trial."""

    latencies: int
    """Single frames."""

    scale: Scale
    line: LineSettings
    line_batch: int
    """Most frames that the line judges together."""


_FULL_PLAN: Final = Plan(
    subjects=FULL,
    batches=(1, 2, 4, 8, 16, 32, 64, 128, 256),
    frames=240,
    seconds=1.0,
    latencies=500,
    scale=Scale(side=8192, moved=1 << 30, taken=1 << 28, seconds=1.0),
    line=LineSettings(pairs=3, pair_s=5.0, rate=25.0, seconds=30.0),
    line_batch=32,
)
_TRIAL_PLAN: Final = Plan(
    subjects=TRIAL,
    batches=(1, 2),
    frames=10,
    seconds=0.05,
    latencies=5,
    scale=Scale(side=64, moved=1 << 16, taken=1 << 16, seconds=0.01),
    line=LineSettings(pairs=1, pair_s=2.0, rate=5.0, cameras=1, seconds=2.0),
    line_batch=2,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a device and print what was seen; return the exit code."""
    try:
        return _measured(_options(arguments), teller())
    except StreamlineError as exc:
        print(f"tools.cuda: {exc}", file=sys.stderr)
        return 2 if isinstance(exc, InputError) else 1


def _measured(options: argparse.Namespace, tell: Tell) -> int:
    writable(options.json)
    compute = compute_on(options.device, "torch")
    plan: Plan = _TRIAL_PLAN if options.trial else _FULL_PLAN
    if options.seconds is not None:
        plan = replace(plan, seconds=options.seconds)
    if options.batches:
        plan = replace(plan, batches=whole_numbers(options.batches, option="--batches"))
    settle(compute)
    with tempfile.TemporaryDirectory(prefix="streamline-cuda-") as folder, OtherWork() as others:
        with Apart() as process:
            bench = _Bench(process, plan, compute, Path(folder), tell)
            fits = [one for subject in plan.subjects for one in bench.fit(subject)]
            for precision in options.precisions or bench.precisions():
                bench.judge(precision)
        line = None if options.no_line else bench.line()
    result = DeviceBench(
        ceilings=bench.ceilings,
        fits=fits,
        rates=bench.rates,
        latency_ms=bench.waits,
        line=line,
        others=others.share,
        machine=this_machine(),
    )
    write_text(options.json, to_json(result))
    print(result.told())
    return 0


class _Bench:
    """Measures in a process of its own."""

    def __init__(
        self, process: Apart, plan: Plan, compute: Compute, folder: Path, tell: Tell
    ) -> None:
        self._process = process
        self._plan = plan
        self._compute = compute
        self._folder = folder
        self._tell = tell
        self.ceilings: list[Ceiling] = []
        self.rates: list[Rate] = []
        self.waits: list[tuple[str, Latency]] = []

    def precisions(self) -> list[Precision]:
        """Return those that the device has for speed: half precision, but for a CPU."""
        found = self._process.call(precisions, self._compute)
        on_gpu = self._compute.device.startswith("cuda")
        return [one for one in found if (one == "f32") is not on_gpu]

    def fit(self, subject: Subject) -> list[FitFigures]:
        """Fit a model on the device, by each method."""
        self._tell(f"{subject.name}: fits to {self._plan.frames} frames, twice by each method")
        return self._process.call(
            fit_subject, subject, self._compute, self._folder, self._plan.frames
        )

    def judge(self, precision: Precision) -> None:
        """Measure the ceiling of a precision, and each model under it."""
        compute = replace(self._compute, precision=precision)
        self._tell(f"{precision}: the ceiling")
        ceiling = self._process.call(measured_ceiling, compute, self._plan.scale)
        self.ceilings.append(ceiling)
        for subject in self._plan.subjects:
            path = self._folder / subject.name
            self._tell(f"{precision}, {subject.name}: batches of {self._plan.batches}")
            operations = operations_of(load_model(path), precision)
            for batch in self._plan.batches:
                # Opened for each size by itself: memory for the largest may be short.
                trials = self._process.call(
                    survey,
                    [path],
                    replace(compute, max_batch=batch),
                    batches=[batch],
                    rounds=3,
                    seconds=self._plan.seconds,
                )
                fps = best_of(trials).fps
                self.rates.append(rate_of(subject.name, ceiling, operations, batch, fps))
            wait = self._process.call(latency, [path], compute, frames=self._plan.latencies)
            self.waits.append((subject.name, wait))

    def line(self) -> LineBench:
        """Measure a line of rendered cameras with the first model, as many as hold."""
        document = {
            "version": 1,
            "model": str(self._folder / self._plan.subjects[0].name),
            "cameras": {"clip": "demo://inspect"},
            "infer": {
                "backend": "torch",
                "device": self._compute.device,
                "batch": {"max": self._plan.line_batch},
            },
        }
        path = self._folder / "line.yaml"
        path.write_text(json.dumps(document))
        with own_runtime(self._folder):
            return bench_line(line_of_file(path), self._plan.line, tell=self._tell)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools.cuda", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--device", default="cuda:0", metavar="D", help="cuda:0, cuda:1 … or cpu")
    parser.add_argument("--batches", metavar="N,N…", help="1 to 256 unless given")
    parser.add_argument(
        "--precision",
        action="append",
        dest="precisions",
        choices=("f32", "bf16", "f16"),
        help="may be given again; bf16 and f16 unless given, f32 on a CPU",
    )
    parser.add_argument("--seconds", type=above_zero, help="of each trial")
    parser.add_argument("--trial", action="store_true", help="all at a small size, on any computer")
    parser.add_argument("--no-line", action="store_true", help="leave the whole line out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
