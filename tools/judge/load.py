"""Cameras at their pace: every frame captured when due, none lost, verdicts in time."""

import argparse
from pathlib import Path

from streamline.bench import IN_TIME, line_of_clip, run_paced
from streamline.learn import FitSettings
from tools.judge.goals import Goals
from tools.judge.line import clip_or_rendered, fitted

__all__ = ["judge_load"]


def judge_load(options: argparse.Namespace, folder: Path) -> Goals:
    """Hold the load for the time that was asked for; see what came of it."""
    clip = clip_or_rendered(options.clip)
    run = run_paced(
        line_of_clip(str(clip), fitted(clip, folder, FitSettings()), folder),
        folder,
        cameras=options.cameras,
        rate=options.rate,
        seconds=options.seconds,
        limit_ms=options.limit_ms,
    )
    goals = Goals(others=run.others)
    goals.at_least("captured in time, of those due", IN_TIME, run.captured / run.due)
    goals.equal("dropped", 0, run.dropped)
    goals.equal("unknown", 0, run.unknown)
    goals.note("capture to verdict, p50", run.p50_ms, "ms")
    goals.note("capture to verdict, p95", run.p95_ms, "ms")
    goals.at_most("capture to verdict, p99", options.limit_ms, run.p99_ms, " ms")
    goals.note("memory of its processes, what they share counted once", run.pss_mb, "MiB")
    return goals
