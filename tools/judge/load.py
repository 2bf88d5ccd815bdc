"""Cameras at their pace: every frame captured when due, none lost, verdicts in time."""

import argparse
import time
from pathlib import Path

from streamline.bench.processor import OtherWork
from tests.support.line import RunningLine, eventually
from tools.judge.goals import Goals
from tools.judge.line import Counters, clip_or_rendered, names, write_pipeline

__all__ = ["judge_load"]

_SHARE = 0.99
"""Of the frames that are due, how many must be captured in time."""


def judge_load(options: argparse.Namespace, folder: Path) -> Goals:
    """Hold the load for the time that was asked for; see what came of it."""
    cameras = names(options.cameras)
    clip = clip_or_rendered(options.clip)
    pipeline = write_pipeline(folder, cameras, clip, options.rate)
    with RunningLine(pipeline, folder) as line:
        line.await_ready()
        counters = Counters(pipeline)
        eventually(lambda: all(map(counters.judged, cameras)), "verdicts of every camera")
        with OtherWork() as others:
            began_s = time.monotonic()
            before = {name: counters.kept_up(name) for name in cameras}
            time.sleep(options.seconds)
            due = options.rate * (time.monotonic() - began_s)
            captured = {name: counters.kept_up(name) - before[name] for name in cameras}
        counters.close()
        line.stop()
        status = line.wait()
    goals = Goals(others=others.share)
    goals.equal("exit status", 0, status)
    goals.at_least("captured in time, of those due", _SHARE, min(captured.values()) / due)
    found = line.report()["cameras"].values()
    goals.equal("dropped", 0, sum(sum(camera["dropped"].values()) for camera in found))
    for share in ("p50", "p95"):
        goals.note(f"capture to verdict, {share}", max(c["latency_ms"][share] for c in found), "ms")
    worst = max(camera["latency_ms"]["p99"] for camera in found)
    goals.at_most("capture to verdict, p99", options.limit_ms, worst, " ms")
    return goals
