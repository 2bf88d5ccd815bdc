"""Measure FRE's line beside anomalib's FRE and PatchCore, over one clip, all in turn.

.venv/bin/python -m tools.peers --clip CLIP.mp4 --json peers.json
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from streamline.bench import PaperPlan, bench_paper, published_speeds, to_json
from streamline.bench.model import Tell
from streamline.bench.processor import QUIET
from streamline.caches import cache_folder
from streamline.cli.bench import machine_lines, teller
from streamline.cli.paper import paper_table
from streamline.cli.writing import writable, write_text
from streamline.errors import InputError, SourceError, StreamlineError
from streamline.machine import this_machine
from tools.judge.line import own_runtime
from tools.options import above_zero, from_one_on
from tools.peers.figures import Contender, PeersBench, Run, entries_of, goals_of, ratios_of
from tools.peers.ours import lines_of, require_frames, run_line
from tools.peers.theirs import Anomalib, make_environment


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the contenders and print what came of it; return the exit code."""
    try:
        return _measured(_options(arguments), teller())
    except StreamlineError as exc:
        print(f"tools.peers: {exc}", file=sys.stderr)
        return 2 if isinstance(exc, InputError | SourceError) else 1


def _measured(options: argparse.Namespace, tell: Tell) -> int:
    clip = options.clip.resolve()
    writable(options.json)
    require_frames(clip)
    python = make_environment(options.environment.expanduser().absolute())
    with tempfile.TemporaryDirectory(prefix="streamline-peers-") as scratch:
        folder = Path(scratch)
        own_runtime(folder)
        runs = _rounds(options, python, clip, folder, tell)
    paper = bench_paper(PaperPlan(rounds=options.rounds), tell=tell) if options.paper else None
    others = max(run.others for several in runs.values() for run in several)
    entries = entries_of(runs)
    ratios = ratios_of(entries)
    goals = goals_of(ratios, others)
    result = PeersBench(
        clip=str(clip),
        weights="random",
        entries=entries,
        ratios=ratios,
        not_measured=["AST"],
        met=goals.met,
        published=published_speeds(),
        paper=paper,
        others=others,
        quiet=others <= QUIET,
        machine=this_machine(),
    )
    write_text(options.json, to_json(result))
    tables = [paper_table(paper), ""] if paper is not None else []
    machine, versions, _ = machine_lines(result.machine, result.others, quiet=result.quiet)
    print("\n".join([*tables, result.table(), machine, versions, "", goals.table()]))
    return 0 if goals.met else 1


def _rounds(
    options: argparse.Namespace, python: Path, clip: Path, folder: Path, tell: Tell
) -> dict[Contender, list[Run]]:
    lines = lines_of(clip, folder, tell)
    tell("anomalib's models are opened")
    with Anomalib(python, clip, folder) as theirs:
        ways: dict[Contender, Callable[[float], Run]] = {
            one: partial(theirs.run, one) for one in theirs.contenders
        }
        ways.update({one: partial(run_line, line, folder) for one, line in lines.items()})
        runs: dict[Contender, list[Run]] = {one: [] for one in ways}
        for number in range(1, options.rounds + 1):
            for one, way in ways.items():
                runs[one].append(way(options.seconds))
                fps = runs[one][-1].fps
                tell(f"round {number}: {', '.join(one)}: {fps:.2f} frames a second")
    return runs


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools.peers", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--clip", type=Path, required=True, help="a video file")
    parser.add_argument("--seconds", type=above_zero, default=8.0, help="of each run")
    parser.add_argument("--rounds", type=from_one_on, default=3, help="the median counts")
    parser.add_argument(
        "--paper", action="store_true", help="'streamline bench paper' too, in the same run"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to it")
    parser.add_argument(
        "--environment", type=Path, default=cache_folder("peers"),
        help="where anomalib is installed; kept",
    )  # fmt: skip
    return parser.parse_args(arguments)


if __name__ == "__main__":
    # Measuring processes and lines, which are started from here, read it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
