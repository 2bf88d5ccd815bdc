"""How fast a whole line is: against its model alone, and at its cameras' pace."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from streamline.bench.apart import Apart
from streamline.bench.limit import Trial, layouts, measure, survey
from streamline.bench.model import Tell, best_of
from streamline.bench.paced import Paced, run_paced
from streamline.bench.processor import QUIET, OtherWork
from streamline.bench.running import under_load
from streamline.bench.search import largest
from streamline.bench.span import Cpu, StageCost
from streamline.config import Pipeline
from streamline.errors import InputError
from streamline.infer import score_network
from streamline.infer.configured import compute_of
from streamline.machine import Machine, this_machine
from streamline.model import load_model

__all__ = ["LineBench", "LineSettings", "Pair", "bench_line"]

_SETTLE_S: Final = 1.0
"""Of a line as fast as possible, before it is measured."""

_TRIAL_SHARE: Final = 6
"""A trial of the search lasts this part of the final run, and `_SHORTEST_S` at least."""

_LOOK_S: Final = 0.3
"""Of a trial that looks for the best setting, or a tenth of a pair's run if that is less."""

_SHORTEST_S: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSettings:
    """What is to be measured."""

    pairs: int = 5
    """Runs of the line as fast as possible, each beside a run of the model alone."""

    pair_s: float = 5.0
    """Of each of these runs, s."""

    rate: float = 25.0
    """Frames a second of each camera."""

    cameras: int | None = None
    """How many; None: the largest number that holds."""

    seconds: float = 60.0
    """Of the run at the cameras' pace, s."""

    limit_ms: float = 100.0
    """What the 99th percentile of capture to verdict may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A run of the model alone and one of the line, one right after the other."""

    model_fps: float
    model_cpu_ms: float
    line_fps: float
    efficiency: float
    """Line ÷ model."""

    cpu_ms_per_frame: Cpu
    others: float
    """Share of the processors that other work took, in the worse of the two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineBench:
    """What a line can do on this computer."""

    model_fps: float
    """Of the model alone, frames from memory; medians of the pairs, like all that follows."""

    line_fps: float
    efficiency: float
    cpu_ms_per_frame: Cpu
    stages: dict[str, StageCost]
    """Of the last run as fast as possible."""

    latency_ms: dict[str, float]
    """Of the paced run."""

    paced: Paced
    tried: Sequence[Paced]
    """Runs of the search for the largest number of cameras."""

    pss_mb: float
    """Of the paced run."""

    pairs: Sequence[Pair]
    feeds: int
    """Cameras of the line as fast as possible: one decoder can't feed many cores."""

    best: Trial
    """The setting of the model alone, as it was found."""

    others: float
    """Share of the processors that other work took, in the worst run that counts."""

    quiet: bool
    """Whether that was little enough for the figures to count."""

    machine: Machine


def bench_line(like: Pipeline, settings: LineSettings, *, tell: Tell) -> LineBench:
    """Measure a line as fast as possible and at its cameras' pace.

    Parameters
    ----------
    like : Pipeline
        Of files, as `line_of_clip` and `line_of_file` give it.

    Raises
    ------
    InputError
        If its models don't share a network, or can't be used.
    LineError
        If the line fails.
    """
    models = _models(like)
    machine = this_machine()
    with Apart() as process, tempfile.TemporaryDirectory(prefix="streamline-bench-") as folder:
        rig = _Rig(like, settings, Path(folder), tell)
        compute = compute_of(like.infer)
        tell("the model alone: looking for its best setting")
        best = best_of(
            [
                trial
                for layout in layouts(compute, machine.cores)
                for trial in process.call(
                    survey, models, layout, rounds=1, seconds=min(_LOOK_S, settings.pair_s / 10)
                )
            ]
        )

        def alone() -> Trial:
            return process.call(measure, models, compute, best.setting, seconds=settings.pair_s)

        feeds = max(1, machine.cores // 2)
        pairs, stages = rig.pairs(alone, feeds)
        tried = [] if settings.cameras else rig.search()
        paced = rig.confirmed(tried)
    others = max(paced.others, *(pair.others for pair in pairs))
    return LineBench(
        model_fps=median(pair.model_fps for pair in pairs),
        line_fps=median(pair.line_fps for pair in pairs),
        efficiency=median(pair.efficiency for pair in pairs),
        cpu_ms_per_frame=_median([pair.cpu_ms_per_frame for pair in pairs]),
        stages=stages,
        latency_ms={"p50": paced.p50_ms, "p95": paced.p95_ms, "p99": paced.p99_ms},
        paced=paced,
        tried=tried,
        pss_mb=paced.pss_mb,
        pairs=pairs,
        feeds=feeds,
        best=best,
        others=others,
        quiet=others <= QUIET,
        machine=machine,
    )


class _Rig:
    """Runs lines under load, one after the other, in a folder of its own."""

    def __init__(self, like: Pipeline, settings: LineSettings, folder: Path, tell: Tell) -> None:
        self._like = like
        self._settings = settings
        self._folder = folder
        self._tell = tell

    def pairs(
        self, alone: Callable[[], Trial], feeds: int
    ) -> tuple[list[Pair], dict[str, StageCost]]:
        """Measure model and line in turn, now this one first, now that one."""
        pairs: list[Pair] = []
        stages: dict[str, StageCost] = {}
        for number in range(self._settings.pairs):
            first = self._alone(alone) if number % 2 == 0 else None
            seconds = self._settings.pair_s + _SETTLE_S
            with under_load(
                self._like, self._folder, cameras=feeds, pace="max", seconds=seconds
            ) as line:
                line.measure(_SETTLE_S, latencies=False)
                with OtherWork() as others:
                    span = line.measure(self._settings.pair_s, latencies=False)
            trial, theirs = first or self._alone(alone)
            stages = span.stages()
            pairs.append(
                Pair(
                    model_fps=trial.fps,
                    model_cpu_ms=trial.cpu_ms,
                    line_fps=span.fps,
                    efficiency=span.fps / trial.fps,
                    cpu_ms_per_frame=span.cpu(),
                    others=max(theirs, others.share),
                )
            )
            self._tell(
                f"pair {number + 1} of {self._settings.pairs}: model {trial.fps:.1f}, "
                f"line {span.fps:.1f} frames a second"
            )
        return pairs, stages

    def search(self) -> list[Paced]:
        """Look for the largest number of cameras that holds, in short runs; return them all."""
        tried: list[Paced] = []
        seconds = max(_SHORTEST_S, self._settings.seconds / _TRIAL_SHARE)

        def holds(cameras: int) -> bool:
            tried.append(self._paced(cameras, seconds))
            return tried[-1].holds

        largest(holds)
        return tried

    def confirmed(self, tried: Sequence[Paced]) -> Paced:
        """Hold the load for as long as it was asked for; what was found must hold that long."""
        held = [run.cameras for run in tried if run.holds]
        cameras = self._settings.cameras or max(held, default=1)
        run = self._paced(cameras, self._settings.seconds)
        while self._settings.cameras is None and not run.holds and cameras > 1:
            cameras -= 1
            run = self._paced(cameras, self._settings.seconds)
        return run

    @staticmethod
    def _alone(alone: Callable[[], Trial]) -> tuple[Trial, float]:
        with OtherWork() as others:
            trial = alone()
        return trial, others.share

    def _paced(self, cameras: int, seconds: float) -> Paced:
        settings = self._settings
        run = run_paced(
            self._like,
            self._folder,
            cameras=cameras,
            rate=settings.rate,
            seconds=seconds,
            limit_ms=settings.limit_ms,
        )
        self._tell(
            f"{cameras} camera{'s' * (cameras > 1)} at {run.rate:g} frames a second for "
            f"{seconds:g} s: {run.dropped} lost, p99 {run.p99_ms:.1f} ms"
        )
        return run


def _models(like: Pipeline) -> list[Path]:
    """Return the models of a line, which must have one network in common."""
    paths = list(dict.fromkeys(camera.model.path for camera in like.cameras.values()))
    if len({score_network(load_model(path)) for path in paths}) > 1:
        msg = f"{like.file or 'the line'}: its models stand on several networks or layers; measure "
        raise InputError(msg + "cameras of one network at a time")
    return paths


def _median(parts: Sequence[Cpu]) -> Cpu:
    return Cpu(
        decode=median(part.decode for part in parts),
        graph=median(part.graph for part in parts),
        other=median(part.other for part in parts),
        scale=median(part.scale for part in parts),
    )
