"""Frames pushed through as fast as possible: what each process holds must not grow with them."""

import argparse
import time
from pathlib import Path
from typing import Final

import numpy as np
import psutil

from streamline.bench.processor import OtherWork
from streamline.learn import FitSettings
from tests.support.line import RunningLine, eventually
from tools.judge.goals import Goals
from tools.judge.line import Counters, clip_or_rendered, names, write_pipeline

__all__ = ["growth", "judge_memory"]

_WARM: Final = 0.1
"""Share of the run, at its beginning, in which memory may still be taken for good."""

_WARM_FRAMES: Final = 3000
"""At least so many: the clip has begun anew by then, for which its reader takes memory once."""

_LIGHT: Final = FitSettings(score_layers=("block1",), map_layers=("block1",))
"""Twice as fast as the default model, along the same path."""

_EVERY_S: Final = 1.0
_MIB: Final = 1 << 20


def judge_memory(options: argparse.Namespace, folder: Path) -> Goals:
    """Push the frames through one camera's line; fit a straight line to each process' memory."""
    cameras = names(1)
    settings = _LIGHT if options.light else FitSettings()
    pipeline = write_pipeline(folder, cameras, clip_or_rendered(options.clip), "max", settings)
    frames: list[float] = []
    held: list[dict[str, int]] = []
    with RunningLine(pipeline, folder) as line:
        line.await_ready()
        counters = Counters(pipeline)
        eventually(lambda: counters.judged(cameras[0]) > 0, "the first verdict")
        began_s = time.monotonic()
        with OtherWork() as others:
            while not frames or frames[-1] < options.frames:
                time.sleep(_EVERY_S)
                frames.append(counters.judged(cameras[0]))
                held.append(_held(line))
        rate = frames[-1] / (time.monotonic() - began_s)
        counters.close()
        line.stop()
        status = line.wait()
    goals = Goals(others=others.share)
    goals.equal("exit status", 0, status)
    goals.note("frames judged", frames[-1])
    goals.note("frames a second", rate)
    for name in held[0]:
        sizes = np.array([one[name] for one in held]) / _MIB
        goals.note(f"{name}: holds", float(sizes[-1]), "MiB")
        risen = growth(np.array(frames), sizes)
        goals.at_most(f"{name}: grows over the whole run by", options.limit_mb, risen, " MiB")
    return goals


def _held(line: RunningLine) -> dict[str, int]:
    """Resident bytes of each process; unlike shares of what is common, nobody else's affair."""
    supervisor = psutil.Process(line.pid)
    workers = [one for one in supervisor.children(recursive=True) if one.name().startswith("sl:")]
    return {one.name(): one.memory_info().rss for one in (supervisor, *workers)}


def growth(frames: np.ndarray, sizes: np.ndarray) -> float:
    """Return the slope after warming up times the whole run, in the unit of the sizes."""
    steady = frames > max(_WARM_FRAMES, _WARM * frames[-1])
    slope = np.polyfit(frames[steady], sizes[steady], 1)[0]
    return float(slope * frames[-1])
