"""Which frames of which sources a fit learns from."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import floor

import numpy as np
import numpy.typing as npt

from streamline.config import AnySource, ImagesSource, RtspSource, UsbSource
from streamline.errors import InputError, SourceError
from streamline.learn.ahead import read_ahead
from streamline.learn.fit import fit_frames
from streamline.learn.settings import AnyFitSettings, Fitted
from streamline.learn.spread import Spread
from streamline.preprocess import prepare
from streamline.progress import Progress, ignore_progress
from streamline.source import Reading, Source, open_source

__all__ = ["SelectedFrames", "Selection", "fit_sources", "view_of"]

Frame = npt.NDArray[np.uint8]

_AHEAD = 512
"""Frames of a camera that may wait, 0.2 MB each at 256 px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which frames to take from the sources."""

    seconds: float | None = None
    """Of each source, no more than this from its first frame on, s of its own time; a file is
    read once, whatever `pace` and `loop` say, which are the line's."""

    every: int = 1
    """Take one of this many frames."""

    max_frames: int = 600
    """Take no more than this many from all sources together, evenly spread."""

    live_seconds: float = 20.0
    """What `seconds` is for a camera, which never ends, if it isn't given."""

    roi: tuple[int, int, int, int] | None = None
    """Part of the full picture that the line will look at: x, y, width, height, px."""


def fit_sources(
    sources: Sequence[AnySource],
    settings: AnyFitSettings,
    selection: Selection,
    *,
    progress: Progress = ignore_progress,
) -> Fitted:
    """Fit and calibrate a model on frames of cameras and files.

    Raises
    ------
    InputError
        As `fit_frames`, or if what a source names is missing or no picture.
    SourceError
        If a source can't be opened or is lost.
    """
    names = ", ".join(source.label for source in sources)
    frames = SelectedFrames(sources, selection, size=settings.size)
    fitted = fit_frames(frames, settings, source=names, progress=progress)
    calibration = replace(fitted.model.calibration, interval_s=frames.interval_s)
    return Fitted(
        model=replace(fitted.model, calibration=calibration),
        report=replace(fitted.report, source_fps=frames.source_fps),
    )


def view_of(
    config: AnySource, roi: tuple[int, int, int, int] | None, /
) -> tuple[int, int, int, int]:
    """Say which part of a source's pictures is looked at: x, y, width, height, px.

    Raises
    ------
    InputError, SourceError
        As `fit_sources`, if the source has to be opened for it.
    """
    if roi is not None:
        return roi
    source = _opened(config)
    try:
        reading = next(_sound(source), None)
    finally:
        source.close()
    if reading is None:
        msg = f"{config.label} shows nothing; give another source"
        raise InputError(msg)
    return 0, 0, reading.picture.width, reading.picture.height


class SelectedFrames:
    """The selected frames of the sources, prepared, one source after the other.

    Sources are opened when it is their turn. Memory: one frame; of a camera, as many as wait
    while earlier ones are worked on, up to a limit; of a file that does not say how long it is,
    as many as are taken from it.
    """

    def __init__(
        self, sources: Sequence[AnySource], selection: Selection, *, size: int = 256
    ) -> None:
        self._sources = sources
        self._size = (size, size)
        self._selection = selection
        self._expected = 0
        self._spans: list[_Span] = []
        """Of each source that has a clock, what is taken of it."""

        self._shown: list[_Span] = []
        """The same of all that it showed meanwhile."""

    @property
    def interval_s(self) -> float | None:
        """Mean time from one frame taken so far to the next, s; None where they have no time."""
        return _mean_step_s(self._spans)

    @property
    def source_fps(self) -> float | None:
        """Frames a second that the sources showed, taken or not; None where they have no time."""
        step_s = _mean_step_s(self._shown)
        return None if step_s is None else 1 / step_s

    def __length_hint__(self) -> int:
        """Guess how many there will be, from the sources opened so far; 0 if unknown."""
        return self._expected

    def __iter__(self) -> Iterator[Frame]:
        left = self._selection.max_frames
        for index, config in enumerate(self._sources):
            # What a short source leaves of its share goes to those after it.
            quota = max(1, left // (len(self._sources) - index))
            for frame in self._frames_of(config, quota):
                left -= 1
                yield frame

    def _frames_of(self, config: AnySource, quota: int) -> Iterator[Frame]:
        source = _opened(config)
        try:
            shown = _timed(_sound(source), config, self._shown)
            readings = islice(shown, 0, None, self._selection.every)
            seconds = _seconds(config, self._selection)
            if seconds is not None:
                self._expected += quota
                chosen = _by_time(readings, seconds, quota, live=_is_camera(config))
            elif source.frames is not None:
                count = -(-source.frames // self._selection.every)
                self._expected += min(count, quota)
                chosen = _by_number(readings, count, quota)
            else:
                yield from self._spread(_timed(readings, config, self._spans), quota)
                return
            frames = map(self._prepared, _timed(chosen, config, self._spans))
            yield from read_ahead(frames, limit=_AHEAD) if _is_camera(config) else frames
        finally:
            source.close()

    def _spread(self, readings: Iterable[Reading], quota: int) -> list[Frame]:
        spread = Spread(quota)
        for reading in readings:
            if spread.wants():
                spread.keep(self._prepared(reading))
        if self._spans:
            self._spans[-1].steps = len(spread.frames) - 1
        return spread.frames

    def _prepared(self, reading: Reading) -> Frame:
        try:
            return prepare(reading.picture, roi=self._selection.roi, size=self._size)
        except ValueError as exc:
            raise InputError(str(exc)) from exc


class _Span:
    """From the first frame of a source to the latest."""

    def __init__(self, first_s: float) -> None:
        self.first_s = self.last_s = first_s
        self.steps = 0


def _timed(readings: Iterable[Reading], config: AnySource, spans: list[_Span]) -> Iterator[Reading]:
    """Pass readings on, and note how much time they span; still images have none."""
    if isinstance(config, ImagesSource):
        yield from readings
        return
    span: _Span | None = None
    for reading in readings:
        time_s = _time_s(reading, live=_is_camera(config))
        if span is None:
            span = _Span(time_s)
            spans.append(span)
        else:
            span.last_s = time_s
            span.steps += 1
        yield reading


def _mean_step_s(spans: Sequence[_Span]) -> float | None:
    seconds = sum(span.last_s - span.first_s for span in spans)
    steps = sum(span.steps for span in spans)
    return seconds / steps if seconds > 0 and steps else None


def _opened(config: AnySource) -> Source:
    try:
        return open_source(_read_once(config))
    except SourceError as exc:
        if exc.reason not in {"missing", "format"}:
            raise
        # No failure that another try may mend: what was named is no source.
        raise InputError(str(exc)) from exc


def _sound(source: Source) -> Iterator[Reading]:
    while (reading := source.read()) is not None:
        if not reading.corrupt:
            yield reading


def _read_once(config: AnySource) -> AnySource:
    """Return a source as it is learnt from: of a file one pass, as fast as it can be read."""
    if isinstance(config, RtspSource | UsbSource):
        return config
    return config.model_copy(update={"pace": "max", "loop": False})


def _seconds(config: AnySource, selection: Selection) -> float | None:
    """How long to watch a source; None for all of it. Still images have no time."""
    if isinstance(config, ImagesSource):
        return None
    if selection.seconds is None and _is_camera(config):
        return selection.live_seconds
    return selection.seconds


def _is_camera(config: AnySource) -> bool:
    return isinstance(config, RtspSource | UsbSource)


def _by_time(
    readings: Iterable[Reading], seconds: float, quota: int, *, live: bool
) -> Iterator[Reading]:
    """Take at most one reading of each of `quota` equal spans of time."""
    begin: float | None = None
    taken = -1
    for reading in readings:
        time = _time_s(reading, live=live)
        begin = time if begin is None else begin
        span = floor((time - begin) / seconds * quota)
        if span >= quota:
            return
        if span > taken:
            taken = span
            yield reading


def _time_s(reading: Reading, *, live: bool) -> float:
    """When a picture was taken, s from any time.

    A camera's time is that of capture, a file's that of presentation: a camera's stream may
    lack the latter at its start.
    """
    stamp = None if live else reading.pts_s
    return reading.captured_ns / 1e9 if stamp is None else stamp


def _by_number(readings: Iterable[Reading], count: int, quota: int) -> Iterator[Reading]:
    """Take at most `quota` of `count` readings, evenly spread."""
    if count <= quota:
        yield from readings
        return
    for index, reading in enumerate(readings):
        if index * quota // count != (index - 1) * quota // count:
            yield reading
