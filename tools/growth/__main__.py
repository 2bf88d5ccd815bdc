"""Measure how what is spent grows: with cameras, frames, layers and directions.

.venv/bin/python -m tools.growth
.venv/bin/python -m tools.growth fit --frames 200,2000,20000
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from streamline.bench import line_of_clip, to_json
from streamline.bench.model import Tell
from streamline.bench.processor import QUIET
from streamline.cli.bench import machine_lines, teller, whole_numbers
from streamline.cli.writing import writable, write_text
from streamline.config import Pipeline
from streamline.errors import InputError, SourceError, StreamlineError
from streamline.learn import FitSettings
from streamline.machine import this_machine
from tools.growth.figures import Growth, GrowthBench
from tools.growth.fit import grow_fit
from tools.growth.heads import grow_heads, grow_ranks
from tools.growth.line import grow_cameras, grow_seen
from tools.judge.line import clip_or_rendered, fitted, own_runtime
from tools.options import above_zero

_FLAT: Final = 1.05
"""What memory may grow to while it stays the same: that of files comes and goes a little."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for and print it; return the exit code."""
    try:
        return _measured(_options(arguments), teller())
    except StreamlineError as exc:
        print(f"tools.growth: {exc}", file=sys.stderr)
        return 2 if isinstance(exc, InputError | SourceError) else 1


def _measured(options: argparse.Namespace, tell: Tell) -> int:
    writable(options.json)
    with (
        tempfile.TemporaryDirectory(prefix="streamline-growth-") as folder,
        own_runtime(Path(folder)),
    ):
        plan = _Plan(options, Path(folder), tell)
        growths = {what: _GROWTHS[what](plan) for what in options.what}
    others = max(row.others for growth in growths.values() for row in growth.rows)
    result = GrowthBench(
        growths=growths,
        ratios={what: growth.ratio for what, growth in growths.items()},
        met=all(growth.met for growth in growths.values()),
        others=others,
        machine=this_machine(),
    )
    write_text(options.json, to_json(result))
    print("\n\n".join(growth.table() for growth in growths.values()), end="\n\n")
    print("\n".join(machine_lines(result.machine, others, quiet=others <= QUIET)))
    return 0 if result.met else 1


@dataclass(frozen=True)
class _Plan:
    """What was asked for, and the line that is measured."""

    options: argparse.Namespace
    folder: Path
    tell: Tell

    @property
    def clip(self) -> Path:
        return clip_or_rendered(self.options.clip)

    def numbers(self, option: str) -> list[int]:
        return whole_numbers(getattr(self.options, option), option=f"--{option}")

    @cached_property
    def line(self) -> Pipeline:
        self.tell("a model is fitted")
        model = fitted(self.clip, self.folder, FitSettings())
        return line_of_clip(str(self.clip), model, self.folder)


def _cameras(plan: _Plan) -> Growth:
    return grow_cameras(
        plan.line,
        plan.numbers("cameras"),
        rate=plan.options.rate,
        seconds=plan.options.seconds,
        limit=plan.options.limit,
        tell=plan.tell,
    )


def _seen(plan: _Plan) -> Growth:
    return grow_seen(plan.line, seconds=4 * plan.options.seconds, limit=_FLAT, tell=plan.tell)


def _fit(plan: _Plan) -> Growth:
    return grow_fit(plan.clip, plan.numbers("frames"), limit=plan.options.limit, tell=plan.tell)


def _heads(plan: _Plan) -> Growth:
    return grow_heads(limit=plan.options.limit, tell=plan.tell)


def _ranks(plan: _Plan) -> Growth:
    return grow_ranks(plan.numbers("ranks"), limit=plan.options.limit, tell=plan.tell)


_GROWTHS: Final[Mapping[str, Callable[[_Plan], Growth]]] = {
    "cameras": _cameras,
    "seen": _seen,
    "fit": _fit,
    "heads": _heads,
    "ranks": _ranks,
}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools.growth", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"{', '.join(_GROWTHS)}; or all")
    parser.add_argument("--clip", type=Path, help="a video file; the rendered line if left out")
    parser.add_argument("--cameras", default="1,2,4,8", metavar="N,N…")
    parser.add_argument(
        "--rate", type=above_zero, default=10.0, help="frames a second of each camera"
    )
    parser.add_argument(
        "--seconds", type=above_zero, default=10.0, help="of each number of cameras"
    )
    parser.add_argument("--frames", default="200,1600,6400", metavar="N,N…", help="to fit")
    parser.add_argument("--ranks", default="100,200,300,400,500", metavar="N,N…")
    parser.add_argument(
        "--limit", type=above_zero, default=1.25, help="of cost of a unit, last ÷ first"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to it")
    options = parser.parse_args(arguments)
    if unknown := set(options.what) - set(_GROWTHS):
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(_GROWTHS)}")
    options.what = options.what or list(_GROWTHS)
    return options


if __name__ == "__main__":
    # As the program's own commands do; measuring processes, which are started from here, read it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
