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
from collections.abc import Callable, Sequence
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
from tools.soak.memory import Growth, Watch, growths

_LASTING_S: Final = (1.0, 15.0)
_RESTING_S: Final = (2.0, 10.0)

_KILLING: Final = 1 / 3
"""Share of the time, at its beginning, in which processes are killed and stopped too: memory is
watched over lives that last to the end."""

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
    write_text(options.json, json.dumps(_figures(options, soak, books, held), indent=2) + "\n")
    print(_table(soak.outcomes), _words(books, held), sep="\n\n")
    grown = [name for name, one in held.items() if one.mb > options.limit_mb]
    for what in (*books.broken, *(f"memory of {name} grows" for name in grown)):
        print(f"MISSED: {what}")
    return 1 if books.broken or books.unaccounted or grown else 0


class _Soak:
    """One line and its time."""

    def __init__(self, options: argparse.Namespace, folder: Path, tell: Tell) -> None:
        self._seconds = 60 * options.minutes
        self._chance = random.Random(options.seed)  # noqa: S311 - the same again from one seed
        self._folder = folder
        self._tell = tell
        self._seed = options.seed
        self._watch: Watch
        self.outcomes: list[Outcome] = []

    def run(self) -> Books:
        """Hurt the line until the time is over, then hold it to its books."""
        room_mb = round(_ROOM_MB * (1 + self._seconds / 600))
        layout = Layout(served=2, played=2, broker=True, disk_mb=room_mb)
        model = nervous_model(self._folder)
        clip = rendered_clip("inspect", 0)
        with Rig(self._folder / "rig", clip, model, layout, seed=self._seed) as rig:
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
        self.outcomes.append(suffer(rig, name, lasting_s=lasting_s, chance=self._chance))

    def growths(self) -> dict[str, Growth]:
        """Return what each process' memory does."""
        return growths(self._watch.samples)


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
    lines += [f"{name}: {one.mb_per_h:+.1f} MB/h, {one.mb:+.2f} MB" for name, one in held.items()]
    return "\n".join(lines)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools.soak", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--minutes", type=above_zero, default=30.0)
    parser.add_argument("--seed", type=int, default=1, help="of what happens, and when")
    parser.add_argument(
        "--limit-mb", type=above_zero, default=4.0, help="bound of a process' growth"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
