"""The limit: what the compiled graphs judge when frames lie in their input already.

No decoding, no link, no copy: no line on the same device can be faster.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from queue import SimpleQueue
from statistics import median
from types import TracebackType
from typing import Final, Literal, Self

import numpy as np

from streamline.infer import Compute, Scorer, open_scorer
from streamline.ledger import quantiles
from streamline.model import Model, load_model

__all__ = ["BATCHES", "Latency", "Setting", "Trial", "latency", "layouts", "measure", "survey"]

BATCHES: Final = (1, 2, 4, 8, 16)
"""Frames in a batch that are tried unless others are asked for."""

_ROUNDS_TO_COUNT: Final = 2
"""Batches of each request that a trial must see, however long they take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How the graphs are driven."""

    precision: str
    """Arithmetic of what is not quantised."""

    hint: Literal["throughput", "latency"]
    streams: int | None
    """Batches that the device works on side by side; None: by the hint."""

    requests: int
    """Batches under way at once."""

    batch: int
    """Frames in each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of a setting."""

    setting: Setting
    fps: float
    cpu_ms: float
    """Processor time a frame, all cores together, ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """From a frame in the input to its score, one frame at a time, ms."""

    precision: str
    frames: int
    p50: float
    p99: float


def layouts(compute: Compute, cores: int) -> list[Compute]:
    """Return the ways to lay a device's threads out that are tried.

    One batch on all threads, several side by side as the device likes, and one on each core. Torch
    has no likings, and a GPU computes one batch after the other.
    """
    wide = replace(compute, hint="throughput", streams=None)
    single = replace(compute, hint="latency", streams=None)
    if compute.backend == "torch":
        alone = compute.device.startswith("cuda") or cores == 1
        return [wide] if alone else [wide, replace(wide, streams=cores)]
    return [single, wide, replace(wide, streams=cores)] if cores > 1 else [single, wide]


def survey(
    models: Sequence[Path],
    compute: Compute,
    *,
    batches: Sequence[int] = BATCHES,
    rounds: int,
    seconds: float,
) -> list[Trial]:
    """Measure some batch sizes, with and without a request to spare, in one layout.

    Parameters
    ----------
    models : sequence of Path
        On one network; a batch is shared out among them.
    compute : Compute
    batches : sequence of int
        Frames in a batch.
    rounds : int
        Trials of each setting, one of every setting in turn; their median counts.
    seconds : float
        Of each.

    Raises
    ------
    ModelError, ConfigError
        If a model can't be used, or the device or precision is not there.
    """
    with _Fed(models, replace(compute, max_batch=max(batches))) as fed:
        counts = sorted({max(1, fed.slots - 1), fed.slots})
        settings = [fed.setting(n, batch) for batch, n in product(batches, counts)]
        seen = [[fed.trial(one, seconds) for one in settings] for _ in range(rounds)]
    return [_median(trials) for trials in zip(*seen, strict=True)]


def measure(models: Sequence[Path], compute: Compute, setting: Setting, *, seconds: float) -> Trial:
    """Measure one setting, compiled for it."""
    chosen = replace(
        compute,
        max_batch=setting.batch,
        slots=setting.requests,
        hint=setting.hint,
        streams=setting.streams,
    )
    with _Fed(models, chosen) as fed:
        return fed.trial(setting, seconds)


def latency(models: Sequence[Path], compute: Compute, *, frames: int) -> Latency:
    """Measure one frame at a time, all threads on it."""
    single = replace(compute, max_batch=1, slots=1, hint="latency", streams=None)
    with _Fed(models, single) as fed:
        seconds = np.array([one for _, one in zip(range(frames), fed.one_by_one(), strict=False)])
    p50, p99 = quantiles(seconds * 1e3, (0.5, 0.99))
    return Latency(precision=compute.precision, frames=frames, p50=p50, p99=p99)


def _median(trials: Sequence[Trial]) -> Trial:
    return replace(
        trials[0],
        fps=median(trial.fps for trial in trials),
        cpu_ms=median(trial.cpu_ms for trial in trials),
    )


class _Fed:
    """Open graphs whose inputs are full."""

    def __init__(self, models: Sequence[Path], compute: Compute) -> None:
        opened: list[Model] = [load_model(path) for path in models]
        self._compute = compute
        self._heads = len(opened)
        self._done: SimpleQueue[int] = SimpleQueue()
        # Of settings that are only tried nothing is kept: it would crowd out what lines use.
        tried = replace(compute, keep=False)
        self._scorer: Scorer = open_scorer(opened, tried, on_done=self._done.put)
        self.slots = self._scorer.slots
        noise = np.random.default_rng(0)
        for slot in range(self.slots):
            pixels = self._scorer.input(slot)
            pixels[:] = noise.integers(0, 256, pixels.shape, np.uint8)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._scorer.close()

    def setting(self, requests: int, batch: int) -> Setting:
        """Describe how these graphs are driven."""
        compute = self._compute
        return Setting(
            precision=compute.precision,
            hint=compute.hint,
            streams=compute.streams,
            requests=requests,
            batch=batch,
        )

    def trial(self, setting: Setting, seconds: float) -> Trial:
        """Keep the device busy for a while, after a first round that does not count."""
        counts = self._shared_out(setting.batch)
        for slot in range(setting.requests):
            self._scorer.start(slot, *counts)
        for _ in range(setting.requests):
            self._again(counts)
        batches, began_s, cpu_s = 0, time.perf_counter(), time.process_time()
        elapsed_s = 0.0
        while elapsed_s < seconds or batches < _ROUNDS_TO_COUNT * setting.requests:
            self._again(counts)
            batches += 1
            elapsed_s = time.perf_counter() - began_s
        frames, cpu_s = batches * setting.batch, time.process_time() - cpu_s
        for _ in range(setting.requests):
            self._take(counts)
        return Trial(setting=setting, fps=frames / elapsed_s, cpu_ms=1e3 * cpu_s / frames)

    def one_by_one(self) -> Iterator[float]:
        """Yield the seconds that a single frame takes, again and again, once warm."""
        counts = self._shared_out(1)
        for number in range(10**9):
            began_s = time.perf_counter()
            self._scorer.start(0, *counts)
            self._take(counts)
            if number >= 10:
                yield time.perf_counter() - began_s

    def _again(self, counts: Sequence[int]) -> None:
        self._scorer.start(self._take(counts), *counts)

    def _take(self, counts: Sequence[int]) -> int:
        """Wait for a batch, take its scores as a line does, and return its slot."""
        slot = self._done.get()
        for head, count in enumerate(counts):
            if count:
                self._scorer.result(slot, head=head)
        return slot

    def _shared_out(self, batch: int) -> list[int]:
        return [batch // self._heads + (head < batch % self._heads) for head in range(self._heads)]
