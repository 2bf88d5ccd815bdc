"""Commands that measure how fast things are on this computer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamline.bench import Machine, ModelBench, Trial

__all__ = ["Json", "bench", "machine_lines", "teller", "whole_numbers"]

bench = typer.Typer(help="How fast things are on this computer.")


@bench.callback()
def _group() -> None:
    """How fast things are on this computer."""


Json = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the figures to this file.")
]


@bench.command("model")
def model(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Directory of a fitted model.")],
    *,
    device: Annotated[
        str, typer.Option(metavar="D", help="OpenVINO's name of a device, such as CPU or GPU.")
    ] = "CPU",
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
    if json is not None:
        writable(json)
    result = bench_model(
        model,
        device=device,
        batches=whole_numbers(batches, option="--batches"),
        seconds=seconds,
        rounds=rounds,
        tell=teller(),
    )
    if json is not None:
        write_text(json, to_json(result))
    typer.echo(_model_table(result))


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
        f"{result.model}: {result.backbone}, on {result.device}, frames from memory",
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
