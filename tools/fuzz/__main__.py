"""Feed very many hostile inputs to all that reads any; exit code 1 if one of them does harm.

.venv/bin/python -m tools.fuzz --seed 1
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from streamline.bench.apart import Apart
from streamline.cli.bench import teller
from streamline.cli.table import render
from streamline.cli.writing import writable, write_text
from streamline.errors import InputError, LineError
from tools.fuzz.feed import feed
from tools.fuzz.tally import Tally
from tools.options import above_zero

_COUNTS: Final[Mapping[str, int]] = {
    "messages": 80_000,
    "ledgers": 10_000,
    "figures": 6000,
    "inlet": 12_000,
    "outlet": 12_000,
    "telemetry": 12_000,
    "strangers": 10_000,
    "models": 6000,
    "pipelines": 6000,
    "requests": 2000,
}
"""Inputs of each kind."""

_LIMIT_MB: Final = 128.0
"""What the memory of a process may grow by, whatever comes: two of the largest messages."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Feed all kinds, each in a process of its own, and print the counts; return the exit code."""
    options = _options(arguments)
    tell = teller()
    try:
        writable(options.json)
    except InputError as exc:
        print(f"tools.fuzz: {exc}", file=sys.stderr)
        return 2
    tallies = []
    for name, count in _COUNTS.items():
        tell(f"{name}: {round(count * options.scale):,}")
        tallies.append(_apart(name, max(1, round(count * options.scale)), options.seed))
    write_text(options.json, json.dumps([dataclasses.asdict(one) for one in tallies], indent=2))
    print(_table(tallies))
    for tally in tallies:
        for why in tally.failures:
            print(f"HARM: {tally.name}: {why}")
    grown = [one for one in tallies if one.grown_mb > _LIMIT_MB]
    for tally in grown:
        print(f"HARM: {tally.name}: memory grew by {tally.grown_mb:.0f} MB")
    return 1 if grown or any(one.failed for one in tallies) else 0


def _apart(name: str, count: int, seed: int) -> Tally:
    with (
        tempfile.NamedTemporaryFile("r", prefix="sl") as underway,
        tempfile.TemporaryDirectory(prefix="sl") as folder,
        Apart() as process,
    ):
        try:
            return process.call(feed, name, count, seed, Path(folder), Path(underway.name))
        except LineError as exc:  # It died.
            tally = Tally(name)
            tally.fail(f"{underway.read() or 'before the first'}: {exc}")
            return tally


def _table(tallies: Sequence[Tally]) -> str:
    rows = [("input", "fed", "refused", "sound", "harm", "memory MB", "s")]
    rows += [
        (
            one.name,
            f"{one.inputs:,}",
            f"{one.refused:,}",
            f"{one.taken:,}",
            f"{one.failed}",
            f"+{one.grown_mb:.1f}",
            f"{one.seconds:.0f}",
        )
        for one in tallies
    ]
    return render(rows, words=(0,))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools.fuzz", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=above_zero, default=1.0, help="of the numbers of inputs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Address space is bounded below, and each thread would take 64 MiB of it in advance.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    sys.exit(main())
