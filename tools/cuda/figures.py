"""What was measured on a device, beside what is attainable there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from streamline.bench import LineBench
from streamline.bench.limit import Latency
from streamline.bench.processor import QUIET
from streamline.cli.bench import machine_lines
from streamline.cli.table import render
from streamline.machine import Machine
from tools.cuda.ceiling import Ceiling
from tools.cuda.subjects import FitFigures
from tools.cuda.work import Operation, attainable

__all__ = ["DeviceBench", "Rate", "rate_of"]

_FRAME_BYTES: Final = 256 * 256 * 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a model reached with batches of one size."""

    subject: str
    precision: str
    batch: int
    fps: float
    attainable_fps: float
    """By the roofline, or by how fast the host can send frames if that is less."""

    reached: float
    """`fps` over that."""

    by_arithmetic: float
    """Share of the attainable time that is arithmetic; the rest is memory."""

    by_intake: bool
    """Whether the host's copies are the bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceBench:
    """All that was measured."""

    ceilings: Sequence[Ceiling]
    fits: Sequence[FitFigures]
    rates: Sequence[Rate]
    latency_ms: Sequence[tuple[str, Latency]]
    line: LineBench | None
    others: float
    """Share of the processors that other work took."""

    machine: Machine

    def told(self) -> str:
        """Return all of it in tables."""
        parts = [
            _ceiling_table(self.ceilings),
            _rate_table(self.rates),
            _latency_table(self.latency_ms),
            _fit_table(self.fits),
        ]
        if self.line is not None:
            parts.append(_line_told(self.line))
        quiet = self.others <= QUIET
        parts.append("\n".join(machine_lines(self.machine, self.others, quiet=quiet)))
        return "\n\n".join(parts)


def rate_of(
    subject: str, ceiling: Ceiling, operations: Sequence[Operation], batch: int, fps: float
) -> Rate:
    """Hold what a model reached against what is attainable with batches of this size."""
    best = attainable(operations, ceiling, batch=batch)
    sent = ceiling.intake / _FRAME_BYTES
    return Rate(
        subject=subject,
        precision=ceiling.precision,
        batch=batch,
        fps=fps,
        attainable_fps=min(best.fps, sent),
        reached=fps / min(best.fps, sent),
        by_arithmetic=best.by_arithmetic,
        by_intake=sent < best.fps,
    )


def _ceiling_table(ceilings: Sequence[Ceiling]) -> str:
    rows = [("precision", "TFLOP/s", "memory GB/s", "from host GB/s")]
    rows += [
        (
            one.precision,
            f"{one.flops / 1e12:.3g}",
            f"{one.bandwidth / 1e9:.4g}",
            f"{one.intake / 1e9:.3g}",
        )
        for one in ceilings
    ]
    return f"{ceilings[0].device}: the ceiling, as measured\n{render(rows)}"


def _rate_table(rates: Sequence[Rate]) -> str:
    rows = [("model", "precision", "batch", "fps", "attainable", "reached", "arithmetic", "bound")]
    rows += [
        (
            one.subject,
            one.precision,
            str(one.batch),
            f"{one.fps:.1f}",
            f"{one.attainable_fps:.0f}",
            f"{one.reached:.1%}",
            f"{one.by_arithmetic:.0%}",
            _bound(one),
        )
        for one in rates
    ]
    note = (
        "attainable: each operation at the ceiling, one after the other; arithmetic: its share of "
        "that time, the rest is memory"
    )
    return f"frames from memory, 256 x 256\n{render(rows)}\n{note}"


def _bound(rate: Rate) -> str:
    if rate.by_intake:
        return "copies from the host"
    return "arithmetic" if rate.by_arithmetic >= 0.5 else "memory"


def _latency_table(waits: Sequence[tuple[str, Latency]]) -> str:
    rows = [("model", "precision", "frames", "p50 ms", "p99 ms")]
    rows += [
        (name, one.precision, str(one.frames), f"{one.p50:.2f}", f"{one.p99:.2f}")
        for name, one in waits
    ]
    return f"one frame at a time\n{render(rows)}"


def _fit_table(fits: Sequence[FitFigures]) -> str:
    rows = [("model", "method", "frames", "features", "rank", "s")]
    rows += [
        (
            one.subject,
            one.method,
            str(one.frames),
            f"{one.features:,}",
            str(one.rank),
            f"{one.seconds:.2f}",
        )
        for one in fits
    ]
    return f"fits, frames decoded already\n{render(rows)}"


def _line_told(line: LineBench) -> str:
    run, cpu = line.paced, line.cpu_ms_per_frame
    fast = (
        f"line as fast as possible: {line.line_fps:.1f} frames a second from {line.feeds} cameras, "
        f"model alone {line.model_fps:.1f}; {cpu.total:.2f} CPU ms a frame, {cpu.decode:.2f} of "
        "them decoding"
    )
    paced = (
        f"{run.cameras} cameras at {run.rate:g} frames a second for {run.seconds:.0f} s: "
        f"{run.dropped} of {run.due} lost, p50 {run.p50_ms:.1f}, p99 {run.p99_ms:.1f} ms"
    )
    return f"{fast}\n{paced}"
