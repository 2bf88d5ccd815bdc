"""What a camera really sends: it is opened, watched for some seconds, and closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from streamline.clock import monotonic_ns
from streamline.config import AnySource
from streamline.source import Reading, Source, open_source

__all__ = ["Probe", "Rhythm", "probe", "rhythm"]

Floats = npt.NDArray[np.float64]

_SETTLE_S: Final = 1.0
"""What a camera sends first, from its last key frame on, comes in a burst."""

_FRAMES_OF_FILES: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How evenly frames come."""

    fps: float | None
    """Frames a second; None if there were too few to say."""

    jitter_ms: float | None
    """How far the time between two frames differs from what their stamps say: 95 of 100 times it
    is less, ms (D of RFC 3550, section 6.4.1)."""

    longest_gap_ms: float | None
    """Longest time without a frame, ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a source gave."""

    width: int
    """Columns, px."""

    height: int
    """Rows, px."""

    codec: str
    """How pictures are compressed, as FFmpeg or the driver names it; empty if it is not told."""

    first_frame_s: float
    """From asking for the stream to its first picture, s."""

    live: bool
    """Whether frames come on their own clock."""

    frames: int
    corrupt: int
    """Of them damaged."""

    rhythm: Rhythm

    def __str__(self) -> str:
        """Say it in one line."""
        parts = [f"{self.width}x{self.height} px", self.codec]
        if self.rhythm.fps is not None:
            parts.append(f"{self.rhythm.fps:.1f} frames a second")
        if self.live and self.rhythm.jitter_ms is not None:
            parts.append(
                f"jitter {self.rhythm.jitter_ms:.1f} ms, "
                f"longest gap {self.rhythm.longest_gap_ms:.0f} ms"
            )
        parts.append(f"first picture after {self.first_frame_s:.1f} s")
        return ", ".join(filter(None, parts))


def probe(source: AnySource, *, seconds: float) -> Probe:
    """Open a source, watch it, and close it.

    Parameters
    ----------
    source : AnySource
        As a pipeline file has it.
    seconds : float
        How long to watch what comes on its own clock, s, after the first second.

    Raises
    ------
    SourceError
        If no frame can be had from it.
    """
    started_ns = monotonic_ns()
    opened = open_source(source)
    try:
        first_frame_s = (monotonic_ns() - started_ns) / 1e9
        readings, live, codec = _watch(opened, seconds), opened.live, opened.codec
    finally:
        opened.close()
    begun_ns = readings[0].captured_ns + (round(_SETTLE_S * 1e9) if live else 0)
    settled = [one for one in readings if one.captured_ns >= begun_ns]
    return Probe(
        width=readings[0].picture.width,
        height=readings[0].picture.height,
        codec=codec,
        first_frame_s=first_frame_s,
        live=live,
        frames=len(readings),
        corrupt=sum(one.corrupt for one in readings),
        rhythm=rhythm([one.captured_ns for one in settled], [one.pts_s for one in settled]),
    )


def _watch(source: Source, seconds: float) -> list[Reading]:
    """Read for some time, or the first frames of a file; at least one."""
    readings: list[Reading] = []
    most = None if source.live else _FRAMES_OF_FILES
    end_ns = monotonic_ns() + round((_SETTLE_S + seconds) * 1e9)
    while (reading := source.read()) is not None:
        readings.append(reading)
        if len(readings) == most or monotonic_ns() >= end_ns:
            break
    return readings


def rhythm(captured_ns: Sequence[int], pts_s: Sequence[float | None]) -> Rhythm:
    """Measure how evenly frames came.

    Parameters
    ----------
    captured_ns : sequence of int
        When each arrived, ns.
    pts_s : sequence of float or None
        What the camera's own clock said, s; where any is missing an even pace is taken for it.

    Examples
    --------
    Frames are due every 40 ms, and one of them comes 5 ms late:

    >>> rhythm([0, 40_000_000, 85_000_000, 120_000_000], [0.0, 0.04, 0.08, 0.12])
    Rhythm(fps=25.0, jitter_ms=5.0, longest_gap_ms=45.0)
    """
    if len(captured_ns) < 3:
        return Rhythm(fps=None, jitter_ms=None, longest_gap_ms=None)
    gaps_s: Floats = np.diff(np.asarray(captured_ns, np.float64)) / 1e9
    stamps = np.array([one for one in pts_s if one is not None], np.float64)
    is_stamped = len(stamps) == len(captured_ns)
    due_s: Floats = np.diff(stamps) if is_stamped else np.full_like(gaps_s, gaps_s.mean())
    mean_s = float(due_s.mean())
    jitter_s = float(np.quantile(np.abs(gaps_s - due_s), 0.95))
    return Rhythm(
        fps=round(1 / mean_s, 3) if mean_s > 0 else None,
        jitter_ms=round(jitter_s * 1e3, 3),
        longest_gap_ms=round(float(gaps_s.max()) * 1e3, 3),
    )
