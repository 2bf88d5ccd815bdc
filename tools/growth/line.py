"""A running line: processor time of a frame whatever the cameras, memory whatever was seen."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from streamline.bench import run_paced
from streamline.bench.model import Tell
from streamline.bench.processor import OtherWork
from streamline.bench.running import under_load
from streamline.config import Pipeline
from tools.growth.figures import Growth, Row

__all__ = ["grow_cameras", "grow_seen"]

_PARTS: Final = 5
_WARM_PARTS: Final = 2
"""Of the parts of a run that are watched, as many again go before them."""


def grow_cameras(
    like: Pipeline, counts: Sequence[int], *, rate: float, seconds: float, limit: float, tell: Tell
) -> Growth:
    """Run a line with so many cameras in turn."""
    rows = []
    for count in counts:
        tell(f"{count} camera{'s' * (count > 1)}")
        with TemporaryDirectory(prefix="streamline-growth-") as folder:
            run = run_paced(
                like, Path(folder), cameras=count, rate=rate, seconds=seconds, limit_ms=float("inf")
            )
        more = {"PSS MiB": run.pss_mb, "lost": run.dropped}
        cpu_ms = run.cpu_ms_per_frame.total
        rows.append(Row(size=count, each=cpu_ms, others=run.others, more=more))
    return Growth(
        what=f"cameras, each {rate:g} frames a second",
        size="cameras",
        each="CPU ms a frame",
        rows=rows,
        limit=limit,
    )


def grow_seen(like: Pipeline, *, seconds: float, limit: float, tell: Tell) -> Growth:
    """Run a line of one camera as fast as it goes, and look at its memory again and again."""
    tell("memory of a line as fast as it goes")
    rows: list[Row] = []
    part_s = seconds / _PARTS
    with (
        TemporaryDirectory(prefix="streamline-growth-") as folder,
        under_load(
            like, Path(folder), cameras=1, pace="max", seconds=(_PARTS + _WARM_PARTS) * part_s
        ) as line,
    ):
        seen = line.measure(_WARM_PARTS * part_s, latencies=False).judged
        for _ in range(_PARTS):
            with OtherWork() as others:
                seen += line.measure(part_s, latencies=False).judged
            rows.append(Row(size=seen, each=line.pss() / 2**20, others=others.share))
    return Growth(
        what="frames seen by a line of one camera, as fast as it goes",
        size="frames",
        each="PSS MiB",
        rows=rows,
        limit=limit,
    )
