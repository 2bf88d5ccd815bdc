"""Commands that measure how fast things are on this computer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamline.cli.device import Backend, compute_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamline.bench import (
        Cpu,
        LineBench,
        ModelBench,
        Paced,
        StageCost,
        Trial,
    )
    from streamline.config import Pipeline
    from streamline.infer import Compute
    from streamline.machine import Machine

__all__ = ["Json", "bench", "machine_lines", "teller", "whole_numbers"]

bench = typer.Typer(help="How fast things are on this computer.")


@bench.callback()
def _group() -> None:
    """How fast things are on this computer."""


Device = Annotated[
    str | None,
    typer.Option(
        metavar="D", help="CPU unless given, GPU, NPU or AUTO; cuda or cuda:1 with torch."
    ),
]

Json = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the figures to this file.")
]


@bench.command("model")
def model(  # noqa: PLR0913 - each is an option of the command
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Directory of a fitted model.")],
    *,
    backend: Backend = None,
    device: Device = None,
    batches: Annotated[
        str, typer.Option(metavar="N,N…", help="Frames in a batch that are tried.")
    ] = "1,2,4,8,16",
    seconds: Annotated[
        float, typer.Option(metavar="S", min=0.05, max=60, help="Of each trial.")
    ] = 0.5,
    rounds: Annotated[
        int, typer.Option(metavar="N", min=1, max=100, help="Trials of each; the median counts.")
    ] = 3,
    json: Json = None,
) -> None:
    """Measure a model alone, its frames from memory: what no line with it can surpass."""
    from streamline.bench import bench_model, to_json
    from streamline.cli.writing import writable, write_text
    from streamline.log import configure_logging

    configure_logging()
    writable(json)
    result = bench_model(
        model,
        compute=compute_on(device, backend),
        batches=whole_numbers(batches, option="--batches"),
        seconds=seconds,
        rounds=rounds,
        tell=teller(),
    )
    write_text(json, to_json(result))
    typer.echo(_model_table(result))


@bench.command("line")
def line(  # noqa: PLR0913 - each is an option of the command
    pipeline: Annotated[
        Path | None,
        typer.Argument(metavar="[PIPELINE.yaml]", help="A line whose cameras are files."),
    ] = None,
    *,
    source: Annotated[
        str | None, typer.Option(metavar="CLIP", help="A video, a folder of images or demo://….")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="The model that judges it.")
    ] = None,
    backend: Backend = None,
    device: Device = None,
    rate: Annotated[
        float, typer.Option(metavar="R", min=0.1, max=1000, help="Frames a second of each camera.")
    ] = 25.0,
    cameras: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=4096, help="How many; left out: the most that hold."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="S", min=1, max=86_400, help="Of the run at that rate.")
    ] = 60.0,
    limit_ms: Annotated[
        float, typer.Option(metavar="MS", min=0.1, help="Bound of p99, capture to verdict.")
    ] = 100.0,
    pairs: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="Runs of line and model in turn.")
    ] = 5,
    pair_seconds: Annotated[
        float, typer.Option(metavar="S", min=0.1, max=3600, help="Of each of these runs.")
    ] = 5.0,
    json: Json = None,
) -> None:
    """Measure a line, decoding to verdict: as fast as possible, and at its cameras' pace.

    A PIPELINE.yaml says itself what its models run on.
    """
    import signal
    import tempfile

    from streamline.bench import LineSettings, bench_line, to_json
    from streamline.cli.writing import writable, write_text
    from streamline.errors import InputError
    from streamline.log import configure_logging

    configure_logging()
    # A service manager's or a time limit's signal ends the lines under way like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    writable(json)
    if pipeline is not None and (backend or device):
        msg = f"{pipeline} says itself what its models run on; leave out --backend and --device"
        raise InputError(msg)
    settings = LineSettings(
        pairs=pairs,
        pair_s=pair_seconds,
        rate=rate,
        cameras=cameras,
        seconds=seconds,
        limit_ms=limit_ms,
    )
    with tempfile.TemporaryDirectory(prefix="streamline-bench-") as folder:
        compute = compute_on(device, backend)
        like = _line_to_measure(pipeline, source, model, Path(folder), compute)
        result = bench_line(like, settings, tell=teller())
    write_text(json, to_json(result))
    typer.echo(_line_table(result, limit_ms))


def _line_to_measure(
    pipeline: Path | None, source: str | None, model: Path | None, folder: Path, compute: "Compute"
) -> "Pipeline":
    from streamline.bench import line_of_clip, line_of_file
    from streamline.errors import InputError

    if pipeline is not None and source is None and model is None:
        return line_of_file(pipeline)
    if pipeline is None and source is not None and model is not None:
        return line_of_clip(source, model, folder, compute)
    msg = "give a PIPELINE.yaml, or --source CLIP and --model MODEL"
    raise InputError(msg)


def whole_numbers(text: str, *, option: str) -> list[int]:
    """Read numbers from 1 on, separated by commas.

    Raises
    ------
    InputError
        If they are none.
    """
    from streamline.errors import InputError

    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        msg = f"{option}: {text!r} must be numbers from 1 on with commas between, such as 1,2,4"
        raise InputError(msg)
    return sorted({int(part) for part in parts})


def teller() -> "Callable[[str], None]":
    """Return a function that says on standard error what is being done, and since when."""
    from time import monotonic

    started = monotonic()
    return lambda text: typer.echo(f"{monotonic() - started:6.1f} s  {text}", err=True)


def _model_table(result: "ModelBench") -> str:
    from streamline.cli.table import render

    head = ("precision", "batch", "fps", "CPU ms a frame", "hint", "streams", "requests")
    waits = [("precision", "frames", "p50 ms", "p99 ms")]
    waits += [
        (one.precision, str(one.frames), f"{one.p50:.2f}", f"{one.p99:.2f}")
        for one in result.latency_ms
    ]
    lines = [
        f"{result.model}: {result.backbone}, frames from memory",
        f"on {result.device} by {result.backend}",
        "",
        render([head, *map(_trial_row, result.trials)]),
        "",
        f"best: {result.model_fps:.1f} frames a second, {result.cpu_ms_per_frame:.2f} CPU ms each",
        "",
        "one frame at a time",
        render(waits),
        "",
        *machine_lines(result.machine, result.others, quiet=result.quiet),
    ]
    return "\n".join(lines)


def _line_table(result: "LineBench", limit_ms: float) -> str:
    shares = [pair.efficiency for pair in result.pairs]
    lines = [
        f"as fast as possible, medians of {len(shares)} pairs",
        f"model alone  {result.model_fps:.1f} frames a second",
        f"line         {result.line_fps:.1f} frames a second, decoding to verdict",
        f"efficiency   {result.efficiency:.3f} ({min(shares):.3f} to {max(shares):.3f})",
        "",
        _cost_table(result.cpu_ms_per_frame, result.stages),
        "",
        *_paced_lines(result.paced, limit_ms, searched=bool(result.tried)),
        "",
        *machine_lines(result.machine, result.others, quiet=result.quiet),
    ]
    return "\n".join(lines)


def _paced_lines(run: "Paced", limit_ms: float, *, searched: bool) -> list[str]:
    """Tell the run at the cameras' pace."""
    from streamline.cli.table import render

    head = ("cameras", "rate", "due", "captured", "lost", "p50 ms", "p95 ms", "p99 ms", "PSS MiB")
    latencies = (f"{value:.1f}" for value in (run.p50_ms, run.p95_ms, run.p99_ms))
    row = (
        *map(str, (run.cameras, f"{run.rate:g}", run.due, run.captured, run.dropped)),
        *latencies,
        f"{run.pss_mb:.0f}",
    )
    what = "nothing lost and p99 within" if run.holds else "frames lost, or p99 not within"
    if searched:
        what = f"the most cameras that hold; {what}" if run.holds else f"not even these; {what}"
    return [
        f"at the cameras' pace for {run.seconds:.0f} s: {what} {limit_ms:g} ms",
        render([head, row], words=()),
        *(f"{count} lost ({where})" for where, count in run.dropped_by.items()),
        "",
        _cost_table(run.cpu_ms_per_frame, run.stages),
    ]


def _cost_table(cpu: "Cpu", stages: "dict[str, StageCost]") -> str:
    """Tell what a frame costs, by what it is and by stage."""
    from streamline.cli.table import render

    parts = {"decode": cpu.decode, "graph": cpu.graph, "other": cpu.other}
    what = [("CPU ms a frame", "", "")] + [
        (name, f"{part:.2f}", f"{part / cpu.total:.1%}") for name, part in parts.items()
    ]
    what.append(("  of it scaling", f"{cpu.scale:.2f}", f"{cpu.scale / cpu.total:.1%}"))
    rows = [("stage", "CPU ms a frame", "work ms", "waiting ms")]
    rows += [
        (name, f"{one.cpu_ms:.2f}", f"{one.work_ms:.2f}", _or_dash(one.wait_ms))
        for name, one in stages.items()
    ]
    return f"{render(what)}\n\n{render(rows)}"


def _or_dash(value: float) -> str:
    from math import isnan

    return "-" if isnan(value) else f"{value:.2f}"


def _trial_row(trial: "Trial") -> tuple[str, ...]:
    setting = trial.setting
    return (
        setting.precision,
        str(setting.batch),
        f"{trial.fps:.1f}",
        f"{trial.cpu_ms:.2f}",
        setting.hint,
        "auto" if setting.streams is None else str(setting.streams),
        str(setting.requests),
    )


def machine_lines(machine: "Machine", others: float, *, quiet: bool) -> list[str]:
    """Say where figures come from, and whether anything else was going on there."""
    verdict = "quiet" if quiet else "NOT QUIET: may be repeated"
    processor = f"{machine.cpu}, {machine.cores} cores ({', '.join(machine.instructions)})"
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return [
        f"{processor}, {machine.memory_gb:.1f} GB; {machine.system}",
        versions,
        f"other work took {others:.1%} of the processors: {verdict}",
    ]
