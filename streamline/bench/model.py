"""How fast a model is by itself: frames a second for each precision and batch, and latency."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from streamline.bench.apart import Apart
from streamline.bench.limit import BATCHES, Latency, Trial, latency, layouts, survey
from streamline.bench.processor import QUIET, OtherWork
from streamline.infer import Compute, precisions
from streamline.machine import Machine, this_machine
from streamline.model import load_model

__all__ = ["ModelBench", "bench_model", "best_of"]

Tell = Callable[[str], None]
"""Told in a sentence what is being done."""

_LATENCY_FRAMES: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelBench:
    """What a model can do on this computer."""

    model: str
    backbone: str
    """Network and its stored weights."""

    backend: str
    device: str
    model_fps: float
    """Of the best setting."""

    cpu_ms_per_frame: float
    """Likewise."""

    best: Trial
    trials: Sequence[Trial]
    """The best setting for each precision and batch."""

    latency_ms: Sequence[Latency]
    """Of a single frame, for each precision."""

    others: float
    """Share of the processors that other work took."""

    quiet: bool
    """Whether that was little enough for the figures to count."""

    machine: Machine


def bench_model(
    model: Path,
    *,
    compute: Compute,
    batches: Sequence[int] = BATCHES,
    seconds: float,
    rounds: int,
    tell: Tell,
) -> ModelBench:
    """Measure a model with frames from memory, in a process of its own.

    Parameters
    ----------
    compute : Compute
        Which device; its precisions and layouts are tried.
    batches : sequence of int
        Frames in a batch.
    seconds : float
        Of each trial.
    rounds : int
        Trials of each setting; their median counts.

    Raises
    ------
    ModelError, ConfigError
        If the model can't be used, or the device is not there.
    """
    loaded = load_model(model)
    machine = this_machine()
    trials: list[Trial] = []
    waits: list[Latency] = []
    with Apart() as process, OtherWork() as others:
        for precision in process.call(precisions, compute):
            here = replace(compute, precision=precision)
            for layout in layouts(here, machine.cores):
                tell(f"{compute.device}, {precision}: {_named(layout)}")
                trials += process.call(
                    survey, [model], layout, batches=batches, rounds=rounds, seconds=seconds
                )
            tell(f"{compute.device}, {precision}: one frame at a time")
            waits.append(process.call(latency, [model], here, frames=_LATENCY_FRAMES))
    best = best_of(trials)
    return ModelBench(
        model=str(model),
        backbone=f"{loaded.backbone.name} {loaded.backbone.precision}",
        backend=compute.backend,
        device=compute.device,
        model_fps=best.fps,
        cpu_ms_per_frame=best.cpu_ms,
        best=best,
        trials=list(_best_of_each(trials)),
        latency_ms=waits,
        others=others.share,
        quiet=others.share <= QUIET,
        machine=machine,
    )


def best_of(trials: Sequence[Trial]) -> Trial:
    """Return the fastest."""
    return max(trials, key=lambda trial: trial.fps)


def _best_of_each(trials: Sequence[Trial]) -> Iterator[Trial]:
    settings = dict.fromkeys((t.setting.precision, t.setting.batch) for t in trials)
    for precision, batch in settings:
        yield best_of(
            [t for t in trials if (t.setting.precision, t.setting.batch) == (precision, batch)]
        )


def _named(layout: Compute) -> str:
    if layout.hint == "latency":
        return "batches one at a time, all threads on each"
    if layout.streams is None:
        return "batches side by side, as the device likes"
    return f"batches side by side, {layout.streams} of them"
