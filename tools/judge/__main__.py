"""Judge one property of a running line, or of a fit; exit code 1 if a goal is missed.

.venv/bin/python -m tools.judge restarts
.venv/bin/python -m tools.judge load --cameras 4 --rate 25 --seconds 60 --clip CLIP.mp4
.venv/bin/python -m tools.judge memory --frames 180000
.venv/bin/python -m tools.judge evidence --rounds 3
.venv/bin/python -m tools.judge fit --frames 20000
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tools.judge.evidence import judge_evidence
from tools.judge.fit import judge_fit
from tools.judge.goals import Goals
from tools.judge.line import own_runtime
from tools.judge.load import judge_load
from tools.judge.memory import judge_memory
from tools.judge.restarts import judge_restarts

_JUDGES: Final[Mapping[str, Callable[[argparse.Namespace, Path], Goals]]] = {
    "evidence": judge_evidence,
    "fit": judge_fit,
    "load": judge_load,
    "memory": judge_memory,
    "restarts": judge_restarts,
}


def main() -> int:
    """Run one judgement and print it; return the exit code."""
    options = _options()
    with (
        tempfile.TemporaryDirectory(prefix="streamline-judge-") as folder,
        own_runtime(Path(folder)),
    ):
        goals = _JUDGES[options.what](options, Path(folder))
    print(goals.table())
    return 0 if goals.met else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="what", required=True)
    load = commands.add_parser("load", help="paced cameras: nothing lost, latency bounded")
    load.add_argument("--limit-ms", type=float, default=80.0, help="bound of the 99th percentile")
    load.add_argument("--seconds", type=float, default=60.0)
    restarts = commands.add_parser("restarts", help="dead and stopped workers: time to recover")
    for one in (load, restarts):
        one.add_argument("--cameras", type=int, default=4)
        one.add_argument("--rate", type=float, default=25.0, help="frames a second and camera")
    memory = commands.add_parser("memory", help="frames pushed through: memory stays flat")
    memory.add_argument("--frames", type=int, default=180_000, help="10,000 or more")
    memory.add_argument("--limit-mb", type=float, default=4.0, help="bound of the growth")
    memory.add_argument("--light", action="store_true", help="a smaller, faster model")
    evidence = commands.add_parser("evidence", help="every frame fails: the frame rate stays")
    evidence.add_argument("--seconds", type=float, default=10.0, help="of each run")
    evidence.add_argument("--rounds", type=int, default=3)
    fit = commands.add_parser("fit", help="a fit to very many frames: memory, and what it learns")
    fit.add_argument("--frames", type=int, default=20_000)
    fit.add_argument("--compare", type=int, default=2400, help="frames that are also held at once")
    fit.add_argument("--limit-mb", type=float, default=2000.0, help="bound of the memory")
    for one in (load, restarts, memory, evidence, fit):
        one.add_argument("--clip", type=Path, help="a video file; the rendered line if left out")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
