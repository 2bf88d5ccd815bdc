"""A fit to very many frames: its memory stays bounded, and merging frames changes no direction."""

import argparse
import resource
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from streamline.config import AnySource, parse_source
from streamline.fre import Subspace
from streamline.infer import Compute, score_frames
from streamline.learn import FitSettings, Selection, fit_frames
from streamline.learn.select import SelectedFrames
from streamline.model import FreDetector, Model
from tools.judge.goals import Goals
from tools.judge.line import clip_or_rendered

__all__ = ["jittered", "judge_fit"]

Frame = npt.NDArray[np.uint8]

_COSINE: Final = 0.999
"""Of the largest principal angle between the leading halves of the directions: 2.6 degrees. Where
variances are nearly equal, directions may turn into one another and no score changes; how near
they are where the halves end is told beside it."""

_SCORE_SHARE: Final = 0.001
"""By how much scores of frames not seen may differ, in the median."""

_UNSEEN: Final = 400

_SHIFT_PX: Final = 6
_BRIGHTNESS: Final = 0.05
_NOISE: Final = 2.0
"""Standard deviation, grey levels."""


def judge_fit(options: argparse.Namespace, folder: Path) -> Goals:
    """Fit to all frames and read the largest memory; fit to some with and without merging."""
    source = parse_source(str(clip_or_rendered(options.clip)), folder)
    settings = FitSettings()
    before = _peak_mb()
    model = _fitted(source, options.frames, settings)
    goals = Goals()
    goals.note("before the fit, the libraries included", before, "MB")
    goals.at_most("largest, all included", options.limit_mb, _peak_mb(), " MB")
    goals.equal("frames fitted to", options.frames, model.calibration.frames)
    del model
    merged = _fitted(source, options.compare, settings)
    exact = _fitted(source, options.compare, replace(settings, hold=options.compare))
    goals.note("compared with the fit that holds all: frames", exact.calibration.frames)
    _compare_directions(goals, merged, exact)
    unseen = list(islice(jittered(source, seed=1), _UNSEEN))
    _compare_scores(goals, merged, exact, unseen)
    return goals


def _compare_directions(goals: Goals, merged: Model, exact: Model) -> None:
    for name, wanted in _directions(exact).items():
        seen = _directions(merged)[name]
        rank = max(1, len(wanted) // 2)
        cosine = _smallest_cosine(seen[:rank], wanted[:rank])
        goals.at_least(f"{name}: cosine of {rank} of {len(wanted)} directions", _COSINE, cosine)
        goals.note(f"{name}: variance there over the next", _gap(exact, name, rank))


def _compare_scores(goals: Goals, merged: Model, exact: Model, unseen: list[Frame]) -> None:
    """Hold against each other what both say of frames that neither has seen."""
    by_merged, by_exact = (
        np.concatenate(list(score_frames(model, unseen, compute=Compute())))
        for model in (merged, exact)
    )
    change = np.abs(by_merged / by_exact - 1)
    goals.at_most("scores of frames not seen differ, median", _SCORE_SHARE, np.median(change))
    goals.note("the same, at most", change.max())
    for name, model, scores in (("merged", merged, by_merged), ("exact", exact, by_exact)):
        held_out = np.median(model.calibration.scores) / np.median(scores)
        goals.at_least(f"{name}: held-out scores over those of frames not seen", 0.99, held_out)
        above = float(np.mean(scores > model.threshold))
        goals.note(f"{name}: share of frames not seen above the threshold", above)


def _directions(model: Model) -> dict[str, npt.NDArray[np.float64]]:
    if not isinstance(model.detector, FreDetector):
        raise TypeError(model.detector)
    return {
        name: layer.subspace.encoder.astype(np.float64)
        for name, layer in model.detector.score_layers.items()
    }


def _gap(model: Model, name: str, rank: int) -> float:
    """How many times the variance of the direction after the first *rank* the one before it has."""
    subspace = model.fre.score_layers[name].subspace
    if not isinstance(subspace, Subspace):
        raise TypeError(subspace)
    variances = np.square(subspace.singular_values)
    return float(variances[rank - 1] / variances[rank])


def _smallest_cosine(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    # Stored in float16, directions are no longer quite orthonormal.
    bases = [np.linalg.qr(rows.T)[0] for rows in (one, other)]
    cosines = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    return float(cosines[-1])


def _fitted(source: AnySource, frames: int, settings: FitSettings) -> Model:
    def progress(what: str, done: int, _total: int | None) -> None:
        if what != "frames" or done % 1000 == 0:
            sys.stderr.write(f"{what} {done}: {_peak_mb():.0f} MB\n")

    moved = islice(jittered(source), frames)
    return fit_frames(moved, settings, source=source.label, progress=progress).model


def jittered(source: AnySource, *, seed: int = 0) -> Iterator[Frame]:
    """Give the source's frames over and over, each time shifted, lit and noisy otherwise."""
    generator = np.random.default_rng(seed)
    for _ in count():
        for frame in SelectedFrames([source], Selection(max_frames=1000)):
            shift = generator.integers(-_SHIFT_PX, _SHIFT_PX, 2, endpoint=True)
            gain = np.float32(1 + _BRIGHTNESS * generator.uniform(-1, 1))
            noisy = np.roll(frame, shift, (0, 1)) * gain
            noisy += np.float32(_NOISE) * generator.standard_normal(frame.shape, np.float32)
            yield noisy.round().clip(0, 255).astype(np.uint8)


def _peak_mb() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
