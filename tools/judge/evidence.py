"""A camera whose every frame fails: keeping evidence must cost the line no frame rate."""

import argparse
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamline.bench.processor import OtherWork
from tests.support.line import RunningLine, eventually
from tests.support.models import with_threshold
from tools.judge.goals import Goals
from tools.judge.line import Counters, clip_or_rendered, names, write_pipeline

__all__ = ["judge_evidence"]

_SHARE = 0.95
"""Of the rate at which frames are judged that all pass, what must be left where all fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a line."""

    figures: dict[str, Any]
    """Of its camera, as reported."""

    others: float
    """Share of the processors that other work took while it ran."""


def judge_evidence(options: argparse.Namespace, folder: Path) -> Goals:
    """Judge the same clip as fast as it goes, in turn with all frames passing and all failing."""
    pipeline = write_pipeline(folder, names(1), clip_or_rendered(options.clip), "max")
    calm = _with_model(pipeline, "calm", 1e9)
    strict = _with_model(pipeline, "strict", 1e-9)
    passing: list[Run] = []
    failing: list[Run] = []
    for _ in range(options.rounds):
        passing.append(_run(calm, options.seconds))
        failing.append(_run(strict, options.seconds))
    goals = Goals(others=max(one.others for one in (*passing, *failing)))
    for one in (*passing, *failing):
        goals.equal("dropped", 0, sum(one.figures["dropped"].values()))
    rates = [statistics.median(one.figures["fps"] for one in runs) for runs in (passing, failing)]
    goals.note("all pass", rates[0], "frames a second")
    goals.note("all fail", rates[1], "frames a second")
    goals.at_least("all fail, of the rate where all pass", _SHARE, rates[1] / rates[0])
    stored = sum(one.figures["evidence"] for one in failing) / len(failing)
    goals.note("frames kept in a run where all fail", stored)
    for one in failing:
        goals.equal("fails neither stored nor counted as skipped", 0, _unaccounted(one.figures))
    return goals


def _with_model(pipeline: Path, name: str, threshold: float) -> Path:
    """Write the pipeline once more, with evidence and a model that judges by that threshold."""
    content = json.loads(pipeline.read_text())
    model = with_threshold(Path(content["model"]), pipeline.with_name(name), threshold)
    content["model"] = str(model)
    content["record"] = {"evidence": f"kept-{name}"}
    path = pipeline.with_name(f"{name}.yaml")
    path.write_text(json.dumps(content))
    return path


def _run(pipeline: Path, seconds: float) -> Run:
    """Run a line for so long after its first verdict, and drain it."""
    (camera,) = names(1)
    with RunningLine(pipeline, pipeline.parent) as line:
        line.await_ready()
        counters = Counters(pipeline)
        eventually(lambda: counters.judged(camera) > 0, "the first verdict")
        with OtherWork() as others:
            time.sleep(seconds)
        counters.close()
        line.stop()
        if status := line.wait():
            msg = f"the line ended with exit status {status}\n{line.log}"
            raise SystemExit(msg)
    return Run(figures=line.report()["cameras"][camera], others=others.share)


def _unaccounted(figures: dict[str, Any]) -> int:
    kept = figures["evidence"] + figures["evidence_skipped"]
    return int(figures["judged"]["fail"] - kept)
