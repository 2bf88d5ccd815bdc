"""Compare the speed of a line at another commit with that of this tree, in runs by turns.

Both measure with their own ``streamline bench line``, so the other commit must have it too.

    tools/bench-compare REV --rounds 5 -- --source CLIP --model MODEL --cameras 8 --seconds 20
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from streamline.bench.processor import QUIET

__all__ = ["Figures", "compared", "main"]

_TREE: Final = Path(__file__).resolve().parents[1]

_WHAT: Final[Mapping[str, tuple[str, ...]]] = {
    "model alone, frames a second": ("model_fps",),
    "line, frames a second": ("line_fps",),
    "efficiency": ("efficiency",),
    "CPU ms a frame: decode": ("cpu_ms_per_frame", "decode"),
    "CPU ms a frame: graph": ("cpu_ms_per_frame", "graph"),
    "CPU ms a frame: other": ("cpu_ms_per_frame", "other"),
    "paced: cameras": ("paced", "cameras"),
    "paced: frames lost": ("paced", "dropped"),
    "paced: p50 ms": ("paced", "p50_ms"),
    "paced: p99 ms": ("paced", "p99_ms"),
    "PSS MiB": ("pss_mb",),
}
"""Where each figure stands in what ``bench line --json`` writes."""

Figures = dict[str, float]


def main() -> int:
    """Run both by turns and print the comparison; return the exit code."""
    options, arguments = _options()
    other: list[Figures] = []
    this: list[Figures] = []
    others = 0.0
    with _worktree(options.rev) as tree:
        for number in range(options.rounds):
            sides = [(tree, other), (_TREE, this)]
            for where, runs in sides if number % 2 == 0 else reversed(sides):
                whole = _bench(where, arguments)
                runs.append(_figures(whole))
                others = max(others, whole["others"])
            print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    print(compared(options.rev, other, this))
    verdict = "quiet" if others <= QUIET else "NOT QUIET: may be repeated"
    print(f"other work took up to {others:.1%} of the processors: {verdict}")
    return 0


def compared(name: str, other: Sequence[Figures], this: Sequence[Figures]) -> str:
    """Return a row per figure: median and spread of both, and the median of the paired ratios."""
    rows = [("", name, "this tree", "this ÷ that, by pairs")]
    for what in other[0]:
        theirs, ours = [run[what] for run in other], [run[what] for run in this]
        ratios = [b / a for a, b in zip(theirs, ours, strict=True) if a]
        rows.append((what, _spread(theirs), _spread(ours), _spread(ratios) if ratios else "-"))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.4g} [{min(values):.4g} to {max(values):.4g}]"


def _options() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rev", metavar="REV", help="the other commit")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, by turns")
    parser.add_argument("arguments", nargs="+", help="after --: those of 'streamline bench line'")
    options = parser.parse_args()
    return options, [_absolute(argument) for argument in options.arguments]


def _absolute(argument: str) -> str:
    """Let a path mean the same in both trees."""
    return str(Path(argument).absolute()) if Path(argument).exists() else argument


@contextmanager
def _worktree(rev: str) -> Iterator[Path]:
    """Check a commit out in a folder of its own for as long as the block runs."""
    git = ["git", "-C", str(_TREE), "worktree"]
    with tempfile.TemporaryDirectory(prefix="streamline-compare-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), rev], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def _bench(tree: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """Run one tree's own ``bench line``; return what it wrote."""
    with tempfile.TemporaryDirectory(prefix="streamline-compare-") as folder:
        path = Path(folder) / "figures.json"
        subprocess.run(
            [sys.executable, "-m", "streamline", "bench", "line", *arguments, "--json", str(path)],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        figures: dict[str, Any] = json.loads(path.read_text())
        return figures


def _figures(whole: Mapping[str, Any]) -> Figures:
    return {what: _at(whole, path) for what, path in _WHAT.items()}


def _at(whole: Mapping[str, Any], path: Sequence[str]) -> float:
    value: Any = whole
    for key in path:
        value = value[key]
    return float("nan") if value is None else float(value)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as exc:
        # It has said why.
        sys.exit(exc.returncode)
