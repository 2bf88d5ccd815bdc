"""A line at its cameras' pace: what is lost, and how late its verdicts are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streamline.bench.processor import OtherWork
from streamline.bench.running import under_load
from streamline.bench.span import Cpu, StageCost
from streamline.config import Pipeline
from streamline.ledger import quantiles

__all__ = ["IN_TIME", "Paced", "run_paced"]

IN_TIME: Final = 0.99
"""Of the frames that are due, how many must be captured in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """A run at the cameras' pace."""

    rate: float
    cameras: int
    seconds: float
    due: int
    """Frames whose time came, by the clock."""

    captured: int
    """Of these, in time."""

    overrun: int
    """Of these, passed before the source came round to them."""

    unknown: int
    """Frames that could not be judged."""

    dropped: int
    """Lost since the line began, before it was measured too, for whatever reason."""

    dropped_by: dict[str, int]
    """By ``stage:reason``."""

    p50_ms: float
    """Capture, which is when a frame was due, to verdict; exact, all cameras together."""

    p95_ms: float
    p99_ms: float
    holds: bool
    """Whether nothing was lost, all frames were judged, and the 99th percentile was kept."""

    cpu_ms_per_frame: Cpu
    stages: dict[str, StageCost]
    pss_mb: float
    """Memory of all its processes, what they share counted once, 2²⁰ bytes."""

    others: float
    """Share of the processors that other work took."""


def run_paced(
    like: Pipeline, folder: Path, *, cameras: int, rate: float, seconds: float, limit_ms: float
) -> Paced:
    """Run so many cameras at one rate for a time.

    Parameters
    ----------
    like : Pipeline
        Of files, as `line_of_clip` and `line_of_file` give it.
    folder : Path
        Where the line may keep what it records; gone afterwards.
    rate : float
        Frames a second of each camera.
    limit_ms : float
        What the 99th percentile of capture to verdict may be.

    Raises
    ------
    LineError
        If the line fails.
    """
    with under_load(like, folder, cameras=cameras, pace=rate, seconds=seconds) as line:
        with OtherWork() as others:
            span = line.measure(seconds, latencies=True)
        pss = line.pss()
    p50, p95, p99 = (1e3 * q for q in quantiles(span.latencies(), (0.5, 0.95, 0.99)))
    due = round(cameras * rate * span.seconds)
    lossless = not span.dropped and span.captured >= IN_TIME * due and not span.unknown
    return Paced(
        rate=rate,
        cameras=cameras,
        seconds=span.seconds,
        due=due,
        captured=span.captured,
        overrun=span.overrun,
        unknown=span.unknown,
        dropped=sum(span.dropped.values()),
        dropped_by=span.dropped,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        holds=lossless and p99 <= limit_ms,
        cpu_ms_per_frame=span.cpu(),
        stages=span.stages(),
        pss_mb=pss / 2**20,
        others=others.share,
    )
