"""Workers that die or are stopped: how soon the line notices, and is whole again."""

import argparse
import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import psutil

from streamline.bench.processor import OtherWork
from tests.support.line import RunningLine, eventually, json_lines
from tools.judge.goals import Goals
from tools.judge.line import Counters, clip_or_rendered, names, write_pipeline

__all__ = ["judge_restarts"]

_LIMIT_S: Final = 2.0
"""From the signal until it is noticed, and from then until verdicts come again."""

_SHARE: Final = 0.95
"""What the other cameras must keep of their rate meanwhile."""

_HELD: Final = 4
"""Frames under way in a camera that is to be lost together with them."""

_WATCHED_S: Final = 4.0
"""How long the others' rate is watched from the signal on, at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """One worker lost, and what followed."""

    noticed_s: float
    """From the signal to the count of restarts."""

    judged_s: float
    """From the signal to the first verdict of each camera that the new worker had a part in."""

    kept: float
    """Lowest share of its due frames that another camera gave in time."""


def judge_restarts(options: argparse.Namespace, folder: Path) -> Goals:
    """Take every kind of worker away by SIGKILL and by SIGSTOP, then a camera with its frames."""
    cameras = names(options.cameras)
    clip = clip_or_rendered(options.clip)
    pipeline = write_pipeline(folder, cameras, clip, options.rate)
    worker = f"camera-{cameras[0]}"
    outages: dict[str, Outage] = {}
    with RunningLine(pipeline, folder) as line:
        line.await_ready()
        counters = Counters(pipeline)
        eventually(lambda: all(map(counters.judged, cameras)), "verdicts of every camera")
        with OtherWork() as others:
            losses = {
                name: _Loss(line, counters, name, cameras, options.rate)
                for name in ("infer", "alert", worker)
            }
            for sign, (name, loss) in product((signal.SIGKILL, signal.SIGSTOP), losses.items()):
                outages[f"{sign.name} {name}"] = loss.by(sign)
            losses[worker].while_holding(_HELD)
            outages[f"SIGKILL {worker}, frames held"] = losses[worker].by(signal.SIGKILL)
        counters.close()
        began_s = time.monotonic()
        line.stop()
        status = line.wait()
        drained_s = time.monotonic() - began_s
    goals = Goals(others=others.share)
    for what, outage in outages.items():
        _judge_outage(goals, what, outage)
    goals.equal("SIGTERM: exit status", 0, status)
    goals.note("SIGTERM: drained after", drained_s, "s")
    _check_books(goals, line, folder)
    return goals


class _Loss:
    """One worker that is about to be lost."""

    def __init__(
        self, line: RunningLine, counters: Counters, name: str, cameras: list[str], rate: float
    ) -> None:
        self._line = line
        self._counters = counters
        self._name = name
        self._concerned = [name.removeprefix("camera-")] if "-" in name else cameras
        self._others = [one for one in cameras if f"camera-{one}" != name]
        self._rate = rate

    def while_holding(self, frames: int) -> None:
        """Stop inference until the camera that is about to be lost has so many under way."""
        self._process("infer").suspend()
        (camera,) = self._concerned
        self._since(time.monotonic(), lambda: self._counters.under_way(camera) >= frames)

    def by(self, sign: signal.Signals) -> Outage:
        """Lose it; return once everything is as before."""
        counters, name = self._counters, self._name
        restarts = counters.total("streamline_worker_restarts_total", worker=name)
        before = {one: counters.kept_up(one) for one in self._others}
        process = self._process(name)
        began_s = time.monotonic()
        process.send_signal(sign)
        noticed_s = self._since(
            began_s,
            lambda: counters.total("streamline_worker_restarts_total", worker=name) > restarts,
        )
        self._since(began_s, lambda: counters.total("streamline_worker_up", worker=name) == 1)
        held = {one: counters.judged(one) for one in self._concerned}
        judged_s = self._since(
            began_s, lambda: all(counters.judged(one) > held[one] for one in self._concerned)
        )
        time.sleep(max(0.0, _WATCHED_S - judged_s))
        due = self._rate * (time.monotonic() - began_s)
        kept = min((counters.kept_up(one) - before[one]) / due for one in self._others)
        return Outage(noticed_s=noticed_s, judged_s=judged_s, kept=kept)

    def _since(self, began_s: float, holds: Callable[[], bool]) -> float:
        end_s = began_s + 60
        while not holds():
            if time.monotonic() > end_s:
                msg = f"{self._name}: not restarted within 60 s\n{self._line.log}"
                raise SystemExit(msg)
            time.sleep(0.005)
        return time.monotonic() - began_s

    def _process(self, name: str) -> psutil.Process:
        family = psutil.Process(self._line.pid).children(recursive=True)
        (found,) = (one for one in family if one.name() == f"sl:{name}"[:15])
        return found


def _judge_outage(goals: Goals, what: str, outage: Outage) -> None:
    again_s = outage.judged_s - outage.noticed_s
    goals.at_most(f"{what}: noticed after", _LIMIT_S, outage.noticed_s, " s")
    goals.at_most(f"{what}: judged again after that", _LIMIT_S, again_s, " s")
    goals.note(f"{what}: judged again, from the signal", outage.judged_s, "s")
    goals.at_least(f"{what}: rate of the other cameras", _SHARE, outage.kept)


def _check_books(goals: Goals, line: RunningLine, folder: Path) -> None:
    """Hold the accounting and the two logs against each other, frame by frame."""
    cameras: dict[str, Any] = json.loads(line.report_file.read_text())["cameras"]
    verdicts, drops = (_ids(folder / f"{kind}.jsonl") for kind in ("verdicts", "drops"))
    crashed = 0
    for name, camera in cameras.items():
        judged, dropped = sum(camera["judged"].values()), sum(camera["dropped"].values())
        crashed += camera["dropped"].get("source:crashed", 0)
        goals.equal(f"{name}: judged + dropped", camera["captured"], judged + dropped)
        goals.equal(
            f"{name}: in the verdict log",
            judged,
            sum(n for i, n in verdicts.items() if i[0] == name),
        )
        goals.equal(
            f"{name}: in the drop log", dropped, sum(n for i, n in drops.items() if i[0] == name)
        )
    both = verdicts + drops
    goals.equal("frames logged twice", 0, sum(n - 1 for n in both.values()))
    goals.at_least("frames counted crashed", 1, crashed)


def _ids(log: Path) -> Counter[tuple[str, int, int]]:
    return Counter((one["camera"], one["incarnation"], one["seq"]) for one in json_lines(log))
