"""The command that measures what FRE's paper claims of its speed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from streamline.cli.bench import Json
from streamline.cli.method import PrecisionName

if TYPE_CHECKING:
    from streamline.bench import LayerFigures, PaperBench
    from streamline.learn import Precision

__all__ = ["paper", "paper_table"]


def paper(
    *,
    images: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Learn from these images; rendered ones if not given."),
    ] = None,
    precision: Annotated[
        list[PrecisionName], typer.Option(help="Of the network; may be repeated, each is measured.")
    ] = [PrecisionName.F32],  # noqa: B006 - typer's way; nobody writes to it
    frames: Annotated[
        int, typer.Option(metavar="N", min=32, help="Learn from so many: 209 is MVTec's bottle.")
    ] = 209,
    seconds: Annotated[
        float, typer.Option(metavar="S", min=0.05, max=60, help="Of each trial of judging.")
    ] = 2.0,
    rounds: Annotated[
        int, typer.Option(metavar="N", min=1, max=100, help="Of all; the median counts.")
    ] = 3,
    json: Json = None,
) -> None:
    """Measure what the paper's table 9 says: FRE on ResNet-50, learning and judging."""
    from streamline.bench import PaperPlan, bench_paper, to_json
    from streamline.cli.bench import teller
    from streamline.cli.writing import writable, write_text
    from streamline.log import configure_logging

    configure_logging()
    writable(json)
    plan = PaperPlan(
        images=images,
        precisions=cast("tuple[Precision, ...]", tuple(one.value for one in precision)),
        frames=frames,
        rounds=rounds,
        seconds=seconds,
    )
    result = bench_paper(plan, tell=teller())
    write_text(json, to_json(result))
    typer.echo(paper_table(result))


def paper_table(result: "PaperBench") -> str:
    """Return what was measured beside what the paper printed."""
    from streamline.cli.bench import machine_lines
    from streamline.cli.table import render

    weights = f"{result.weights} weights (speed does not depend on them)"
    lines = [
        f"FRE on {result.network}, {weights}, {result.frames} frames ({result.images})",
        *(
            f"{one.layer}: {one.features:,} features, {one.rank} directions; {one.aet_rank} units "
            f"of FRE-AEt"
            for one in result.layers
        ),
        "",
        "learning, s: from the first decoded frame to the calibrated model",
        render(_learning(result)),
        "",
        "judging, frames a second: frames from memory, the best setting",
        render(_judging(result)),
        "",
        f"the paper: {result.published.source}; {result.published.setting}",
        "PatchCore is measured here by tools/peers; AST is not measured",
        *machine_lines(result.machine, result.others, quiet=result.quiet),
    ]
    return "\n".join(lines)


def _learning(result: "PaperBench") -> list[tuple[str, ...]]:
    methods = ("PatchCore", "AST", "FRE-AEt", "FRE-PCA")
    rows: list[tuple[str, ...]] = [("", *methods, "AEt / PCA")]
    for system in result.published.systems:
        times = system.training_s
        rows.append(
            (
                f"paper: {system.name}",
                *(f"{times[name]:g}" for name in methods),
                f"{times['FRE-AEt'] / times['FRE-PCA']:.1f}",
            )
        )
    rows += [
        (_name(one), "", "", f"{one.aet_s:.1f}", f"{one.pca_s:.1f}", f"{one.aet_s / one.pca_s:.1f}")
        for one in result.layers
    ]
    return rows


def _judging(result: "PaperBench") -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("", "PatchCore", "AST", "FRE", "FRE / PatchCore", "CPU ms a frame")
    ]
    rows += [
        (
            f"paper: {system.name}",
            *(f"{system.fps[name]:g}" for name in ("PatchCore", "AST", "FRE")),
            f"{system.gain:.1f}",
            "",
        )
        for system in result.published.systems
    ]
    rows += [
        (_name(one), "", "", f"{one.fps:.1f}", "", f"{one.cpu_ms_per_frame:.1f}")
        for one in result.layers
    ]
    return rows


def _name(figures: "LayerFigures") -> str:
    return f"here: {figures.layer}, {figures.precision}"
