"""Hold the model and frame differencing against the rendered clips of many seeds.

Per seed: fit on the normal clip, judge the inspected one, debounce as the line does, compare
with what is known. Same decoder, preprocessing and graphs as the line, without its processes.
Exit code 1 if recall or precision over all seeds is below 0.95, or the first seed is not found
whole and without a false alert, or frame differencing is not clearly worse.

    python tools/demo_seeds.py --first 0 --count 20
"""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from time import monotonic

import numpy as np
import numpy.typing as npt

from streamline.config import DemoSource
from streamline.demo import Differencing, Matched, alert_begins, match_alerts
from streamline.infer import score_frames
from streamline.learn import FitSettings, fit_frames
from streamline.preprocess import prepare
from streamline.source import open_source
from streamline.source.synthetic import Part, rendered_clip, rendered_truth

GOAL = 0.95
MARGIN = 0.15
"""How far below the model's recall frame differencing must stay to be clearly worse."""

K, N = 3, 5
PARTS: tuple[Part, ...] = ("normal", "inspect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One seed's outcome."""

    model: Matched
    differencing: Matched


def main() -> int:
    """Print a row per seed and the sums; return the exit code."""
    options = _options()
    seeds = range(options.first, options.first + options.count)
    started = monotonic()
    trials: list[Trial] = []
    print(f"{'':8}{'model':>24}{'frame differencing':>24}   missed by the model")
    print(f"{'seed':8}" + 2 * f"{'recall':>14}{'precision':>10}")
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        clips = [[pool.submit(rendered_clip, part, seed) for part in PARTS] for seed in seeds]
        for seed, rendered in zip(seeds, clips, strict=True):
            wait(rendered)
            trials.append(_trial(seed))
            print(_row(str(seed), trials[-1].model, trials[-1].differencing), flush=True)
    model = sum((trial.model for trial in trials[1:]), trials[0].model)
    rival = sum((trial.differencing for trial in trials[1:]), trials[0].differencing)
    print(_row("all", model, rival))
    print(f"{monotonic() - started:.0f} s")
    first = trials[0].model
    good = min(model.recall, model.precision) >= GOAL and first.recall == first.precision == 1
    clear = rival.recall <= model.recall - MARGIN
    return 0 if good and clear else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--count", type=int, default=20, metavar="N")
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="renderers at once, beside the rest"
    )
    return parser.parse_args()


def _trial(seed: int) -> Trial:
    settings = FitSettings()
    normal = np.stack(list(_frames("normal", seed)))
    inspected = np.stack(list(_frames("inspect", seed)))
    model = fit_frames(iter(normal), settings, source=f"demo://normal?seed={seed}").model
    scores = np.concatenate(list(score_frames(model, iter(inspected), compute=settings.compute)))
    rival = Differencing.fit(normal)
    episodes = rendered_truth("inspect", seed).episodes
    failed = (scores > model.calibration.threshold, rival.score(inspected) > rival.threshold)
    ours, theirs = (
        match_alerts(alert_begins(map(bool, one), k=K, n=N), episodes, k=K, n=N) for one in failed
    )
    return Trial(model=ours, differencing=theirs)


def _frames(part: Part, seed: int) -> Iterator[npt.NDArray[np.uint8]]:
    source = open_source(DemoSource(part=part, seed=seed))
    try:
        while (reading := source.read()) is not None:
            yield prepare(reading.picture, roi=None)
    finally:
        source.close()


def _row(name: str, model: Matched, rival: Matched) -> str:
    figures = "".join(f"{m.recall:14.3f}{m.precision:10.3f}" for m in (model, rival))
    missed = ", ".join(f"{e.kind} {e.area_share:.1%}" for e in model.missed)
    return f"{name:8}{figures}   {missed}"


if __name__ == "__main__":
    sys.exit(main())
