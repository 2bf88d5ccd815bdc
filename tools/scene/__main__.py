"""Make faults on real frames and say which are found, how soon, and what is found without any.

    python -m tools.scene CLIP 'bottle/train/good/*.png' --demo-seeds 3

Of each source one half is learnt from.  The other is played, forwards and backwards, first as it
is and then with each fault from the tenth second on.  Exit code 1 if a fault is not found, or one
where there is none.
"""

import argparse
import json
import sys
from collections import deque
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from time import thread_time
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streamline.infer import score_frames
from streamline.learn import FitSettings, fit_frames
from streamline.messages import Fault, Picture, PixelFormat
from streamline.model import Model
from streamline.preprocess import prepare
from streamline.scene import DriftWatch, ReferenceBuilder, SceneReference, SceneWatch
from tools.options import above_zero
from tools.scene.faults import FAULTS, SLOW, MadeFault
from tools.scene.scenes import Scene, demo, of_argument

Pixels = npt.NDArray[np.uint8]

BEGIN_S: Final = 10.0
FROZEN_S: Final = 5.0


def main() -> int:
    """Print a table per scene; return the exit code."""
    options = _options()
    texts = [(of_argument, text) for text in options.source]
    results = [_judged(make(text), options) for make, text in texts]
    results += [_judged(demo(seed), options) for seed in range(options.demo_seeds)]
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0 if all(result["good"] for result in results) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", nargs="*", help="a video, or a quoted pattern of images")
    parser.add_argument("--demo-seeds", type=int, default=1, metavar="N", help="rendered lines")
    parser.add_argument("--seconds", type=above_zero, default=60.0, help="played with each fault")
    parser.add_argument(
        "--score-seconds", type=above_zero, default=300.0, help="played for the drift of scores"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def _judged(scene: Scene, options: argparse.Namespace) -> dict[str, Any]:
    builder = ReferenceBuilder()
    frames = list(builder.passing(_prepared(picture) for picture in scene.normal))
    reference = builder.finish()
    clean = _clean(scene, reference)
    print(f"{scene.name}: learnt from {len(frames)} frames; {clean['frames']} others as they are: ")
    print(f"  found {clean['found'] or 'nothing'}, {clean['cpu_us']:.0f} us of processor time each")
    faults = [made for made in FAULTS if reference.has_view or Fault.MOVED not in made.shows]
    rows = [_played(scene, reference, made, options.seconds) for made in faults]
    if not reference.has_view:
        print("  these frames have no view in common that could move")
    for row in rows:
        soon = f"{row['after_s']} s, frame {row['frames']}" if row["frames"] else "not found"
        others = f"   also {', '.join(row['also'])}" if row["also"] else ""
        print(f"  {row['fault']:24}{soon:>24}{others}", flush=True)
    drift = _drift(scene, frames, options.score_seconds)
    for what, after_s in drift.items():
        found = "none" if after_s is None else f"{after_s:6.1f} s"
        print(f"  {'drift of scores, ' + what:40}{found:>8}", flush=True)
    missed = any(row["after_s"] is None for row in rows)
    good = not clean["found"] and not missed and drift["as they are"] is None
    return {"scene": scene.name, "clean": clean, "faults": rows, "drift": drift, "good": good}


def _clean(scene: Scene, reference: SceneReference) -> dict[str, Any]:
    """Watch the others once, as they are."""
    watch, found, cpu_s = SceneWatch(reference, frozen_s=FROZEN_S), dict[str, int](), 0.0
    for number, picture in enumerate(scene.others):
        frame, since_s = _prepared(picture), thread_time()
        for fault in watch.see(frame, number / scene.rate_hz).faults:
            found[fault.value] = found.get(fault.value, 0) + 1
        cpu_s += thread_time() - since_s
    count = len(scene.others)
    return {
        "frames": count,
        "seconds": count / scene.rate_hz,
        "found": found,
        "cpu_us": cpu_s / count * 1e6,
    }


def _played(
    scene: Scene, reference: SceneReference, made: MadeFault, seconds: float
) -> dict[str, Any]:
    """Play others with a fault from `BEGIN_S` on, until it is found."""
    watch, also, frames = SceneWatch(reference, frozen_s=FROZEN_S), set[str](), 0
    for moment_s, frame in _with_fault(scene, made, seconds):
        found = set(watch.see(frame, moment_s).faults)
        also |= {fault.value for fault in found - made.shows}
        frames += moment_s >= BEGIN_S
        if frames and found & made.shows:
            after_s = round((frames - 1) / scene.rate_hz, 1)
            return {"fault": made.name, "after_s": after_s, "frames": frames, "also": sorted(also)}
    return {"fault": made.name, "after_s": None, "frames": None, "also": sorted(also)}


def _with_fault(scene: Scene, made: MadeFault, seconds: float) -> Iterator[tuple[float, Pixels]]:
    stuck: Pixels | None = None
    played = takewhile(lambda one: one[0] < BEGIN_S + seconds, scene.going_on())
    for moment_s, picture in played:
        if moment_s < BEGIN_S:
            yield moment_s, _prepared(picture)
            continue
        if stuck is None or not made.freezes:
            stuck = _prepared(made.change(picture, moment_s - BEGIN_S))
        yield moment_s, stuck


def _drift(scene: Scene, frames: list[Pixels], seconds: float) -> dict[str, float | None]:
    """Fit to the normal frames, and watch the scores of the others."""
    model = fit_frames(frames, FitSettings(), source=scene.name).model
    still = MadeFault("as they are", lambda picture, _: picture, frozenset())
    return {
        made.name: _scores_drift(model, _with_fault(scene, made, seconds)) for made in (still, SLOW)
    }


def _scores_drift(model: Model, played: Iterator[tuple[float, Pixels]]) -> float | None:
    """After how many seconds of the fault the scores have drifted."""
    compute, moments = FitSettings().compute, deque[float]()

    def frames() -> Iterator[Pixels]:
        for moment_s, frame in played:
            moments.append(moment_s)
            yield frame

    watch = DriftWatch(model.calibration.test.n)
    for scores in score_frames(model, frames(), compute=compute):
        for score in scores:
            moment_s = moments.popleft()
            watch.see(model.calibration.test.p_value(float(score)), moment_s)
            if watch.side is not None:
                return moment_s - BEGIN_S
    return None


def _prepared(picture: Pixels) -> Pixels:
    return prepare(Picture(format=PixelFormat.RGB, planes=(picture,)))


if __name__ == "__main__":
    sys.exit(main())
