"""A camera whose every frame fails: keeping evidence must cost the line no frame rate."""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from tests.support.line import streamline
from tests.support.models import with_threshold
from tools.judge.goals import Goals
from tools.judge.line import clip_or_rendered, names, write_pipeline
from tools.judge.processor import OtherWork

__all__ = ["judge_evidence"]

_SHARE = 0.95
"""Of the rate at which frames are judged that all pass, what must be left where all fail."""


def judge_evidence(options: argparse.Namespace, folder: Path) -> Goals:
    """Judge the same clip as fast as it goes, in turn with all frames passing and all failing."""
    pipeline = write_pipeline(folder, names(1), clip_or_rendered(options.clip), "max")
    calm = _with_model(pipeline, "calm", 1e9)
    strict = _with_model(pipeline, "strict", 1e-9)
    passing: list[dict[str, Any]] = []
    failing: list[dict[str, Any]] = []
    with OtherWork() as others:
        for _ in range(options.rounds):
            passing.append(_run(calm, options.seconds))
            failing.append(_run(strict, options.seconds))
    goals = Goals(others=others.share)
    for one in (*passing, *failing):
        goals.equal("dropped", 0, sum(one["dropped"].values()))
    rates = [statistics.median(one["fps"] for one in runs) for runs in (passing, failing)]
    goals.note("all pass", rates[0], "frames a second")
    goals.note("all fail", rates[1], "frames a second")
    goals.at_least("all fail, of the rate where all pass", _SHARE, rates[1] / rates[0])
    stored = sum(one["evidence"] for one in failing) / len(failing)
    goals.note("frames kept in a run where all fail", stored)
    for one in failing:
        goals.equal("fails neither stored nor counted as skipped", 0, _unaccounted(one))
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


def _run(pipeline: Path, seconds: float) -> dict[str, Any]:
    """Run a line for so long; return its camera's figures."""
    report = pipeline.with_suffix(".json")
    done = streamline("run", pipeline, "--duration", str(seconds), "--json", report)
    if done.returncode:
        raise SystemExit(done.stderr)
    figures: dict[str, Any] = json.loads(report.read_text())["cameras"]["c0"]
    return figures


def _unaccounted(figures: dict[str, Any]) -> int:
    kept = figures["evidence"] + figures["evidence_skipped"]
    return int(figures["judged"]["fail"] - kept)
