"""Hurt lines in every way, and judge how they recover; exit code 1 if a goal is missed.

.venv/bin/python -m tools.faults --lasting 10 --json faults.json
"""

import argparse
import dataclasses
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from streamline.cli.bench import teller
from streamline.cli.table import render
from streamline.cli.writing import writable, write_text
from streamline.errors import InputError
from streamline.source.synthetic import rendered_clip
from tests.support import mosquitto
from tools.faults.books import Books, close_books
from tools.faults.broken import Broken, break_disk
from tools.faults.burst import Burst, burst
from tools.faults.clock import FalseClock
from tools.faults.injuries import INJURIES, Outcome, possible, suffer
from tools.faults.model import nervous_model
from tools.faults.rig import Layout, Rig
from tools.options import above_zero, from_one_on


def main(arguments: Sequence[str] | None = None) -> int:
    """Do all of it and print it; return the exit code."""
    options = _options(arguments)
    try:
        writable(options.json)
    except InputError as exc:
        print(f"tools.faults: {exc}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="streamline-faults-") as folder:
        full = _Full(options, Path(folder))
        full.run()
    write_text(options.json, json.dumps(full.as_dict(), indent=2) + "\n")
    print(full.table(), *full.missed, sep="\n")
    return 1 if full.missed else 0


class _Full:
    """The full profile.

    A line for most faults, one whose clock is set, one whose disk breaks, and a burst.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._chance = random.Random(options.seed)  # noqa: S311 - the same again from one seed
        self._tell = teller()
        self.outcomes: list[Outcome] = []
        self.books: dict[str, Books] = {}
        self.broken: Broken
        self.burst: Burst

    def run(self) -> None:
        """Hurt one line after the other."""
        self._tell("a model is fitted")
        model = nervous_model(self._folder)
        there = mosquitto.is_installed()
        self._line("hurt", model, Layout(served=2, played=2, broker=there, disk_mb=64))
        if FalseClock.library() is not None:
            self._line("its clock set", model, Layout(served=0, played=2, clock=True))
        layout = Layout(served=0, played=2, disk_mb=64, breaks=True)
        with Rig(self._folder / "broken", rendered_clip("inspect", 0), model, layout) as rig:
            self._suffer(rig, "disk hangs")
            self._tell("disk read-only for good")
            self.broken = break_disk(rig)
        self._tell(f"{self._options.alerts:,} alerts in a burst")
        self.burst = burst(self._folder / "burst", model, alerts=self._options.alerts, hook=True)

    def _line(self, what: str, model: Path, layout: Layout) -> None:
        folder = self._folder / what.replace(" ", "-")
        with Rig(folder, rendered_clip("inspect", 0), model, layout) as rig:
            wanted = [one for one in possible(rig) if not layout.clock or INJURIES[one].needs]
            for name in wanted:
                self._suffer(rig, name, alerts=2)
            self.books[what] = close_books(rig)

    def _suffer(self, rig: Rig, name: str, *, alerts: int = 0) -> None:
        self._tell(name)
        lasting_s = self._options.lasting
        outcome = suffer(rig, name, lasting_s=lasting_s, alerts=alerts, chance=self._chance)
        self.outcomes.append(outcome)

    @property
    def missed(self) -> list[str]:
        """What was wanted and is not so, each in a line."""
        return list(self._missed())

    def _missed(self) -> Iterator[str]:
        for one in self.outcomes:
            yield from (f"MISSED: {why}" for why in one.wrong)
        for what, books in self.books.items():
            yield from (f"MISSED: line {what}: {why}" for why in books.broken)
        yield from (f"MISSED: disk read-only: {why}" for why in self.broken.wrong)
        if not self.burst.raised == self.burst.delivered == self._options.alerts:
            yield f"MISSED: burst: {self.burst}"
        if self.burst.unaccounted:
            yield f"MISSED: burst: {self.burst.unaccounted} frames unaccounted"

    def as_dict(self) -> dict[str, object]:
        """Return what ``--json`` writes."""
        return {
            "faults": [{**dataclasses.asdict(one), "met": one.met} for one in self.outcomes],
            "lines": {what: dataclasses.asdict(one) for what, one in self.books.items()},
            "disk read-only": dataclasses.asdict(self.broken),
            "burst": dataclasses.asdict(self.burst),
            "missed": self.missed,
        }

    def table(self) -> str:
        """Return a row per fault, then what became of frames and alerts."""
        rows = [("fault", "lasted s", "recovered s", "wanted s", "alerts meanwhile")]
        rows += [
            (
                one.name,
                f"{one.lasted_s:.1f}",
                f"{one.recovered_s:.2f}",
                f"≤ {one.limit_s:g}",
                f"{one.raised}",
            )
            for one in self.outcomes
        ]
        return "\n".join([render(rows), "", *self._words()])

    def _words(self) -> Iterator[str]:
        for what, books in self.books.items():
            yield (
                f"line {what}: {books.captured} frames captured, {books.judged} judged, "
                f"{books.dropped} dropped, {books.unaccounted} unaccounted; "
                f"{books.alerts_raised} alerts raised, {books.alerts_delivered} delivered to all "
                f"sinks; {books.lines_lost} lines of logs lost and counted"
            )
        yield (
            f"line on a disk that turned read-only: {self.broken.judged} frames judged, "
            f"{self.broken.unaccounted} unaccounted; {self.broken.raised} alerts raised, "
            f"{self.broken.meanwhile} of them since, {self.broken.delivered} delivered; "
            f"{self.broken.lines_lost} lines of logs lost and counted"
        )
        yield (
            f"burst: {self.burst.raised} alerts raised, {self.burst.delivered} delivered; judged "
            f"in {self.burst.judged_s:.1f} s, delivered {self.burst.delivered_s:.1f} s later"
        )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools.faults", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--lasting", type=above_zero, default=8.0, help="of each fault, s")
    parser.add_argument("--alerts", type=from_one_on, default=10_000, help="in a burst")
    parser.add_argument("--seed", type=int, default=1, help="of whom it hits")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
