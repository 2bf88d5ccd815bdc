"""The commands that run a line, whole or one stage of it."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from streamline.config import Camera, Learn, Pipeline
    from streamline.run.supervision.report import Report

__all__ = ["begin_to_run", "run", "stage"]

PipelineFile = Annotated[Path, typer.Argument(metavar="PIPELINE.yaml", help="The pipeline file.")]
Duration = Annotated[
    float | None,
    typer.Option(
        "--duration", metavar="S", min=0.0, help="Stop this many s after the line is ready."
    ),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.")
]


def run(pipeline: PipelineFile, *, duration: Duration = None, json: JsonFile = None) -> None:
    """Run a line until its sources end, the time is over, or SIGTERM or Ctrl-C comes.

    SIGHUP lets a line that no terminal controls read its file again.
    """
    _run(pipeline, None, duration, json)


def stage(
    name: Annotated[
        Literal["source", "preprocess", "infer", "alert"],
        typer.Argument(metavar="NAME", help="source, preprocess, infer or alert."),
    ],
    pipeline: PipelineFile,
    *,
    duration: Duration = None,
    json: JsonFile = None,
) -> None:
    """Run one stage of a line, and those glued to it, on this host; the others run elsewhere."""
    _run(pipeline, name, duration, json)


def begin_to_run(arguments: Sequence[str]) -> None:
    """Start what a line's workers are forked from, if this is the command line of one.

    It loads what they need while this process reads on.  To read the command line itself takes
    a tenth of a second already, so it is only looked at here: where it is wrong, nothing was lost.
    """
    if arguments[:1] in (["run"], ["stage"]) and any(map(os.path.isfile, arguments[1:])):
        from streamline.run.places import private_base
        from streamline.run.supervision.forkserver import start_early

        start_early(private_base())


def _run(path: Path, only: str | None, duration_s: float | None, json_file: Path | None) -> None:
    from streamline.cli.table import report_table
    from streamline.cli.writing import writable, write_text
    from streamline.config import load
    from streamline.log import configure_logging
    from streamline.run import run_line
    from streamline.run.placement import plan
    from streamline.run.supervision.forkserver import dismiss

    configure_logging()
    writable(json_file)
    pipeline = load(path)
    _learn_missing(pipeline)
    _require_files(pipeline, only)
    if any(worker.is_whole_line for worker in plan(pipeline, only)):
        dismiss()
    report = run_line(
        pipeline,
        only=only,
        duration_s=duration_s,
        on_ready=_announce,
        reread=partial(_reread, path, only),
    )
    write_text(json_file, report.to_json())
    if only is None:
        typer.echo(report_table(report))
    _explain_failures(report, whole=only is None)


def _announce(url: str | None, down: Mapping[str, str]) -> None:
    import structlog

    log = structlog.get_logger("streamline.run")
    ready = "the line is ready" + ("" if url is None else f"; figures at {url}/metrics")
    if down:
        log.warning(ready, down=dict(down))
    else:
        log.info(ready)


def _reread(path: Path, only: str | None) -> "Pipeline":
    """Read the file again for a line that runs; raise what is wrong with it."""
    from streamline.config import load
    from streamline.errors import ConfigError

    pipeline = load(path)
    for camera in pipeline.cameras.values():
        if not camera.model.path.exists():
            where = pipeline.where(f"cameras.{camera.name}.model")
            what = f"there is no model at {camera.model.path}"
            msg = f"{where}: {what} (a line that runs learns none: streamline fit)"
            raise ConfigError(msg)
    _require_files(pipeline, only)
    return pipeline


def _require_files(pipeline: "Pipeline", only: str | None) -> None:
    from streamline.config import missing_files
    from streamline.errors import ConfigError
    from streamline.run.placement import plan

    stages = {stage for worker in plan(pipeline, only) for stage in worker.stages}
    if missing := missing_files(pipeline, stages):
        raise ConfigError("\n".join(missing))


def _learn_missing(pipeline: "Pipeline") -> None:
    """Fit each model that the file says how to learn and that is not there yet."""
    for camera in pipeline.cameras.values():
        choice = camera.model
        if choice.learn is not None and not choice.path.exists():
            _learn(pipeline, camera, choice.learn)


def _learn(pipeline: "Pipeline", camera: "Camera", how: "Learn") -> None:
    from streamline.cli.device import require_device
    from streamline.cli.fit import learn_into
    from streamline.infer.configured import compute_of

    require_device(pipeline)
    path = camera.model.path
    typer.echo(f"{path}: no model yet, learning it", err=True)
    learn_into(path, how, compute_of(pipeline.infer), roi=camera.roi, mask=camera.view_mask)


def _explain_failures(report: "Report", *, whole: bool) -> None:
    from streamline.errors import LineError

    if report.faults:
        raise report.faults[0]
    if whole and not report.closes:
        msg = "the accounting does not close: captured differs from judged, dropped and in flight"
        raise LineError(msg)
