"""The demonstration: render, learn, inspect, compare with what is known."""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import reduce
from multiprocessing import get_context
from operator import add
from pathlib import Path
from typing import Any, Final

import cv2
import msgspec

from streamline.alert.events import AlertEvent, EventType
from streamline.config import DemoSource, Pipeline, load
from streamline.demo.truth import Matched, match_alerts
from streamline.errors import InputError
from streamline.learn import FitSettings, Selection, fit_sources
from streamline.model import save_model
from streamline.run import run_line
from streamline.run.supervision.report import Report
from streamline.source.synthetic import Part, rendered_clip, rendered_truth

__all__ = ["CAMERAS", "Demonstration", "run_demo"]

CAMERAS: Final = ("left", "right")
"""Both look at the same product: one at the seed's parts, the other at the next seed's."""

_MARK: Final = "# Written by `streamline demo`;"
_MODEL, _ALERTS, _VERDICTS, _EVIDENCE = "model", "alerts.jsonl", "verdicts.jsonl", "evidence"

_PIPELINE: Final = """\
{mark} run it again with
#   streamline run pipeline.yaml
version: 1
name: demo

model:
  path: {model}
  learn: {{source: 'demo://normal?seed={seed}', seconds: 24}}   # only if the folder is gone

cameras:
{cameras}

alert:
  k: 3          # an alert begins when 3 of the last 5 verdicts are fail, and ends likewise
  n: 5
  sinks:
    - {{type: jsonl, path: {alerts}}}

record:
  verdicts: {verdicts}
  evidence: {evidence}

metrics:
  port: 0       # any that is free
"""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """What a demonstration came to."""

    report: Report
    cameras: Mapping[str, Matched]
    pipeline: Path
    """The file that runs the same line again."""

    evidence: tuple[Path, ...]
    """A folder for each alert whose begin was stored."""

    @property
    def matched(self) -> Matched:
        """What all cameras' alerts found and missed."""
        return reduce(add, self.cameras.values())

    def to_json(self) -> str:
        """Return the run's figures with ``precision`` and ``recall`` added."""
        figures: dict[str, Any] = self.report.as_dict()
        matched = self.matched
        figures |= {"precision": matched.precision, "recall": matched.recall}
        return json.dumps(figures, indent=2) + "\n"


def run_demo(out: Path, *, seed: int, tell: Tell) -> Demonstration:
    """Render clips of a line, learn its product from one, and inspect two as a running line.

    Parameters
    ----------
    out : Path
        Folder for the pipeline file, model, alerts, verdicts and evidence; an earlier
        demonstration in it is replaced.
    seed : int
        Which parts; the same seed gives the same pictures.
    tell : callable
        Told in a sentence what is being done.

    Raises
    ------
    InputError
        If `out` holds something else, or can't be written.
    LineError
        If the line dies.
    """
    seeds = {camera: seed + number for number, camera in enumerate(CAMERAS)}
    path = prepare_folder(out, seed, seeds)
    _render([("normal", seed), *(("inspect", one) for one in seeds.values())], tell)
    _learn(out, seed, tell)
    pipeline = load(path)
    tell("inspecting: two cameras at 25 frames a second, each stage in a process of its own")
    report = run_line(
        pipeline, on_ready=lambda url, _: tell(f"the line is ready; figures at {url}")
    )
    if report.faults:
        raise report.faults[0]
    begins = _begins(out / _ALERTS)
    return Demonstration(
        report=report,
        cameras=_compare(pipeline, begins, seeds),
        pipeline=path,
        evidence=tuple(Path(e.evidence) for e in begins if e.evidence is not None),
    )


def prepare_folder(out: Path, seed: int, seeds: Mapping[str, int]) -> Path:
    """Make the folder, clear an earlier demonstration away, and write the pipeline file."""
    path = out / "pipeline.yaml"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()) and not _is_ours(path):
            msg = f"{out} holds something else than a demonstration; choose another folder"
            raise InputError(msg)
        for name in (_ALERTS, _VERDICTS):
            (out / name).unlink(missing_ok=True)
        if (out / _EVIDENCE).exists():
            shutil.rmtree(out / _EVIDENCE)
        path.write_text(_pipeline(seed, seeds), encoding="utf-8")
    except OSError as exc:
        msg = f"{out} can't be written ({exc.strerror or exc}); choose another folder"
        raise InputError(msg) from exc
    return path


def _is_ours(path: Path) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8", errors="replace").startswith(_MARK)


def _pipeline(seed: int, seeds: Mapping[str, int]) -> str:
    cameras = "\n".join(
        f"  {camera}:\n    source: {{type: demo, part: inspect, seed: {one}, pace: native}}"
        for camera, one in seeds.items()
    )
    return _PIPELINE.format(
        mark=_MARK,
        model=_MODEL,
        seed=seed,
        cameras=cameras,
        alerts=_ALERTS,
        verdicts=_VERDICTS,
        evidence=_EVIDENCE,
    )


def _render(wanted: Sequence[tuple[Part, int]], tell: Tell) -> None:
    """Render the clips that are not in the cache yet, on all cores."""
    tell(f"rendering {len(wanted)} clips of an inspection line (kept for the next time)")
    workers = min(len(wanted), os.cpu_count() or 1)
    # OpenCV's own threads would only get in the way of the other processes.
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        clips = list(pool.map(rendered_clip, *zip(*wanted, strict=True)))
    tell(f"rendered: {clips[0].parent}")


def _learn(out: Path, seed: int, tell: Tell) -> None:
    source = DemoSource(part="normal", seed=seed)
    tell(f"learning the product from its normal clip, {source.label}")
    fitted = fit_sources([source], FitSettings(), Selection())
    save_model(fitted.model, out / _MODEL, replace=True)
    report = fitted.report
    tell(
        f"learnt from {report.frames} frames in {report.seconds:.1f} s; "
        f"threshold {report.threshold:.4g}, false-alarm rate {report.alpha:.2g} a frame"
    )


def _begins(path: Path) -> list[AlertEvent]:
    """Read the alerts that began; no alert, no file."""
    if not path.exists():
        return []
    events = (msgspec.json.decode(line, type=AlertEvent) for line in path.open("rb"))
    return [event for event in events if event.type is EventType.NEW]


def _compare(
    pipeline: Pipeline, begins: list[AlertEvent], seeds: Mapping[str, int]
) -> dict[str, Matched]:
    return {
        camera: match_alerts(
            (event.seq for event in begins if event.camera == camera),
            rendered_truth("inspect", seed).episodes,
            k=pipeline.cameras[camera].alert.k,
            n=pipeline.cameras[camera].alert.n,
        )
        for camera, seed in seeds.items()
    }
