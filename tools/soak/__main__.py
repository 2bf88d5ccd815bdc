"""Let one thing after another happen to a line of four cameras; exit code 1 if anything is lost.

.venv/bin/python -m tools.soak --minutes 30 --seed 1 --json soak.json
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from streamline.cli.bench import teller
from streamline.cli.table import render
from streamline.cli.writing import writable, write_text
from streamline.errors import InputError
from streamline.source.synthetic import rendered_clip
from tools.faults.books import Books, close_books
from tools.faults.injuries import INJURIES, Outcome, possible, suffer
from tools.faults.model import nervous_model
from tools.faults.rig import Layout, Rig
from tools.options import above_zero
from tools.soak.memory import SHORTEST_S, Growth, Watch, growths, minutes

_LASTING_S: Final = (1.0, 15.0)
_RESTING_S: Final = (2.0, 10.0)

_KILLING: Final = 1 / 3
"""Share of the time, at its beginning, in which processes are killed and stopped too: memory is
watched over lives that last to the end."""

_SETTLING_S: Final = 120.0
"""By then whoever was killed last has been started again."""

_PATIENCE: Final = 3.0
"""How many times as long as in `tools.faults` recovery may take: other work may go on beside it."""

_ROOM_MB: Final = 64
"""Of the line's disk, and as much again for every ten minutes: verdicts and records of a run stay,
and a disk that fills by itself never comes back."""

Tell = Callable[[str], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak a line and print what became of it; return the exit code."""
    options = _options(arguments)
    try:
        writable(options.json)
    except InputError as exc:
        print(f"tools.soak: {exc}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="streamline-soak-") as folder:
        soak = _Soak(options, Path(folder), teller())
        books = soak.run()
    held = soak.growths()
    missed = list(_missed(options, soak, books, held))
    figures = {**_figures(options, soak, books, held), "missed": missed}
    write_text(options.json, json.dumps(figures, indent=2) + "\n")
    print(_table(soak.outcomes), _words(books, held), sep="\n\n")
    for what in missed:
        print(f"MISSED: {what}")
    return 1 if missed else 0


class _Soak:
    """One line and its time."""

    def __init__(self, options: argparse.Namespace, folder: Path, tell: Tell) -> None:
        self._seconds = 60 * options.minutes
        self._chance = random.Random(options.seed)  # noqa: S311 - the same again from one seed
        self._folder = folder
        self._tell = tell
        self._seed = options.seed
        self._watch: Watch
        self.processes: list[str] = []
        """Names of those that are watched."""

        self.outcomes: list[Outcome] = []

    def run(self) -> Books:
        """Hurt the line until the time is over, then hold it to its books."""
        room_mb = round(_ROOM_MB * (1 + self._seconds / 600))
        layout = Layout(served=2, played=2, broker=True, disk_mb=room_mb)
        model = nervous_model(self._folder)
        clip = rendered_clip("inspect", 0)
        with Rig(self._folder / "rig", clip, model, layout, seed=self._seed) as rig:
            self.processes = [*rig.workers, "supervisor"]
            began_s = time.monotonic()
            with Watch(rig.processes) as self._watch:
                while (passed_s := time.monotonic() - began_s) < self._seconds:
                    self._hurt(rig, killing=passed_s < _KILLING * self._seconds)
                    time.sleep(self._chance.uniform(*_RESTING_S))
            return close_books(rig)

    def _hurt(self, rig: Rig, *, killing: bool) -> None:
        names = [name for name in possible(rig) if killing or not INJURIES[name].kills]
        name = self._chance.choice(names)
        self._tell(name)
        lasting_s = self._chance.uniform(*_LASTING_S)
        outcome = suffer(rig, name, lasting_s=lasting_s, patience=_PATIENCE, chance=self._chance)
        self.outcomes.append(outcome)

    def growths(self) -> dict[str, Growth]:
        """Return what each process' memory and descriptors do."""
        return growths(self._watch.samples)

    def minutes(self) -> dict[str, list[float]]:
        """Return each process' memory, minute by minute, MB."""
        return minutes(self._watch.samples)

    @property
    def measures(self) -> bool:
        """Whether every process lives for long enough to be measured."""
        undisturbed_s: float = (1 - _KILLING) * self._seconds - _SETTLING_S
        return undisturbed_s >= SHORTEST_S


def _missed(
    options: argparse.Namespace, soak: _Soak, books: Books, held: dict[str, Growth]
) -> Iterator[str]:
    """Yield what was wanted and is not so, each in a sentence."""
    yield from books.broken
    if books.unaccounted:
        yield f"{books.unaccounted} frames are unaccounted"
    for outcome in soak.outcomes:
        yield from outcome.wrong
    for name in soak.processes if soak.measures else ():
        if name not in held:
            yield f"memory of {name} was not measured: no life of it was long enough"
    for name, one in held.items():
        if one.mb > options.limit_mb:
            yield f"memory of {name} grows by {one.mb:.1f} MB, not {options.limit_mb:g}"
        if one.descriptors > options.limit_descriptors:
            limit = options.limit_descriptors
            yield f"descriptors of {name} grow by {one.descriptors:.1f}, not {limit:g}"


def _figures(
    options: argparse.Namespace, soak: _Soak, books: Books, held: dict[str, Growth]
) -> dict[str, Any]:
    return {
        "minutes": options.minutes,
        "seed": options.seed,
        "faults": dict(Counter(one.name for one in soak.outcomes)),
        "captured": books.captured,
        "judged": books.judged,
        "unknown": books.unknown,
        "dropped": books.dropped,
        "unaccounted": books.unaccounted,
        "alerts_raised": books.alerts_raised,
        "alerts_delivered": books.alerts_delivered,
        "repeated": books.repeated,
        "log_lines_lost": books.lines_lost,
        "restarts": books.restarts,
        "slowest_recovery_s": {
            name: round(max(one.recovered_s for one in soak.outcomes if one.name == name), 2)
            for name in sorted({one.name for one in soak.outcomes})
        },
        "rss_slope_mb_per_h": {name: round(one.mb_per_h, 2) for name, one in held.items()},
        "rss_growth_mb": {name: round(one.mb, 2) for name, one in held.items()},
        "rss_mb_by_minute": soak.minutes(),
        "descriptors_growth": {name: round(one.descriptors, 2) for name, one in held.items()},
        "broken": list(books.broken),
    }


def _table(outcomes: Sequence[Outcome]) -> str:
    rows = [("fault", "times", "recovered after s, at the slowest", "alerts meanwhile")]
    for name in INJURIES:
        found = [one for one in outcomes if one.name == name]
        if found:
            slowest_s = max(one.recovered_s for one in found)
            alerts = sum(one.raised for one in found)
            rows.append((name, f"{len(found)}", f"{slowest_s:.1f}", f"{alerts}"))
    return render(rows, words=(0,))


def _words(books: Books, held: dict[str, Growth]) -> str:
    frames = f"{books.captured} frames captured, {books.judged} judged, {books.dropped} dropped"
    alerts = f"{books.alerts_raised} alerts raised, {books.alerts_delivered} delivered to all sinks"
    lines = [
        f"{frames}, {books.unaccounted} unaccounted",
        f"{alerts}, {books.repeated} events repeated",
        f"{books.restarts} restarts, {books.lines_lost} lines of logs lost and counted",
    ]
    lines += [
        f"{name}: {one.mb_per_h:+.1f} MB/h, {one.mb:+.2f} MB, {one.descriptors:+.1f} descriptors"
        for name, one in held.items()
    ]
    return "\n".join(lines)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools.soak", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--minutes", type=above_zero, default=30.0)
    parser.add_argument("--seed", type=int, default=1, help="of what happens, and when")
    parser.add_argument(
        "--limit-mb", type=above_zero, default=6.0, help="bound of a process' growth"
    )
    parser.add_argument(
        "--limit-descriptors", type=above_zero, default=4.0, help="the same of its descriptors"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
