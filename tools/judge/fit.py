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
from streamline.learn import FitSettings, Selection, fit_frames
from streamline.learn.select import SelectedFrames
from streamline.model import FreDetector, Model
from tools.judge.goals import Goals
from tools.judge.line import clip_or_rendered

__all__ = ["judge_fit"]

Frame = npt.NDArray[np.uint8]

_COSINE: Final = 0.9999
"""Of the largest principal angle between the leading halves of the directions."""

_SCORE_SHARE: Final = 0.001
"""By how much held-out scores may differ, in the median."""

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
    _compare(goals, merged, exact)
    return goals


def _compare(goals: Goals, merged: Model, exact: Model) -> None:
    goals.note("compared with the fit that holds all: frames", exact.calibration.frames)
    for name, wanted in _directions(exact).items():
        seen = _directions(merged)[name]
        rank = max(1, len(wanted) // 2)
        cosine = _smallest_cosine(seen[:rank], wanted[:rank])
        goals.at_least(f"{name}: cosine of {rank} of {len(wanted)} directions", _COSINE, cosine)
    change = np.abs(merged.calibration.scores / exact.calibration.scores - 1)
    moved = float(np.median(change))
    goals.at_most("held-out scores differ, median", _SCORE_SHARE, moved)
    goals.note("held-out scores differ, at most", float(change.max()))
    threshold = merged.calibration.threshold / exact.calibration.threshold - 1
    goals.note("thresholds differ", abs(threshold))


def _directions(model: Model) -> dict[str, npt.NDArray[np.float64]]:
    if not isinstance(model.detector, FreDetector):
        raise TypeError(model.detector)
    return {
        name: layer.subspace.encoder.astype(np.float64)
        for name, layer in model.detector.score_layers.items()
    }


def _smallest_cosine(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    # Stored in float16, directions are no longer quite orthonormal.
    bases = [np.linalg.qr(rows.T)[0] for rows in (one, other)]
    cosines = np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)
    return float(cosines[-1])


def _fitted(source: AnySource, frames: int, settings: FitSettings) -> Model:
    def progress(what: str, done: int, _total: int | None) -> None:
        if what != "frames" or done % 1000 == 0:
            sys.stderr.write(f"{what} {done}: {_peak_mb():.0f} MB\n")

    jittered = islice(_jittered(source), frames)
    return fit_frames(jittered, settings, source=source.label, progress=progress).model


def _jittered(source: AnySource) -> Iterator[Frame]:
    """Give the source's frames over and over, each time shifted, lit and noisy otherwise."""
    generator = np.random.default_rng(0)
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
