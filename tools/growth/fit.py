"""Frames to learn from: processor time of each, and the largest memory."""

import resource
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamline.bench.apart import Apart
from streamline.bench.model import Tell
from streamline.bench.processor import OtherWork
from streamline.config import parse_source
from streamline.learn import FitSettings, fit_frames
from tools.growth.figures import Growth, Row
from tools.judge.fit import jittered

__all__ = ["fit_once", "grow_fit"]

Frame = npt.NDArray[np.uint8]


def grow_fit(clip: Path, counts: Sequence[int], *, limit: float, tell: Tell) -> Growth:
    """Fit the default model to so many frames in turn, each time in a process of its own."""
    rows = []
    for count in counts:
        tell(f"a fit to {count} frames")
        with Apart() as process:
            rows.append(process.call(fit_once, clip, count))
    return Growth(
        what="frames that a model is fitted to",
        size="frames",
        each="CPU ms a frame",
        rows=rows,
        limit=limit,
    )


def fit_once(clip: Path, count: int) -> Row:
    """Fit to as many frames made from the clip's; for a process apart."""
    source = parse_source(str(clip), Path())
    made = _Timed(islice(jittered(source), count))
    began_s = time.process_time()
    with OtherWork() as others:
        fit_frames(made, FitSettings(), source=source.label)
    spent_s = time.process_time() - began_s - made.spent_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return Row(
        size=count,
        each=1e3 * spent_s / count,
        others=others.share,
        more={"CPU s": spent_s, "largest memory MB": peak_mb},
    )


class _Timed:
    """Passes frames on, and tells what making them took, which is no part of a fit."""

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._frames = iter(frames)
        self.spent_s = 0.0
        """Processor time."""

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        began_s = time.thread_time()
        try:
            return next(self._frames)
        finally:
            self.spent_s += time.thread_time() - began_s
