"""The command that makes a model from normal frames."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamline.config import AnySource, Learn
    from streamline.learn import FitReport, FitSettings, Fitted, Selection

__all__ = ["fit", "learn_into"]


def fit(  # noqa: PLR0913 - each is an option of the command
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…",
            help="Where normal product, and nothing else, is to be seen: a folder of images, a "
            "video file, rtsp://…, usb:N or demo://normal.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="MODEL", help="Directory to write.")],
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S", min=0.1, help="Use no more of each source; cameras: 20 s unless given."
        ),
    ] = None,
    every: Annotated[int, typer.Option(metavar="K", min=1, help="Use one of K frames.")] = 1,
    max_frames: Annotated[
        int, typer.Option(metavar="N", min=8, help="Use no more frames, evenly spread.")
    ] = 600,
    alpha: Annotated[
        float | None,
        typer.Option(
            metavar="A",
            help="False-alarm rate per frame; the smallest that the frames support if not given.",
        ),
    ] = None,
    retain: Annotated[
        float | None,
        typer.Option(metavar="R", help="Share of the variance that the model keeps, to 1."),
    ] = None,
    hold: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=16,
            help="Hold the features of no more frames in memory; those beyond are merged: 1600.",
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Network whose features are used; see 'streamline model list-backbones'.",
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="L,L…",
            help="Its layers that make the score, and the map if --map-layers isn't given.",
        ),
    ] = None,
    map_layers: Annotated[
        str | None, typer.Option(metavar="L,L…", help="Its layers that make the map.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="P", help="Of its stored weights: int8, fp16 or f32.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(metavar="N", help="Height and width that frames are scaled to, px: 256."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Weights to use: .safetensors, .pth, or a folder of .npy files.",
        ),
    ] = None,
    roi: Annotated[
        str | None,
        typer.Option(metavar="X,Y,W,H", help="Part of the picture, px, as the line has it."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the model that is there.")
    ] = False,
) -> None:
    """Learn what is normal, and the score above which a frame is not."""
    from streamline.config import parse_source
    from streamline.learn import FitSettings, Selection
    from streamline.model import check_free

    check_free(out, replace=force)
    given: dict[str, Any] = {
        "alpha": alpha,
        "retain": retain,
        "hold": hold,
        "backbone": backbone,
        "precision": precision,
        "size": size,
        "weights": weights,
        "score_layers": _names(layers),
        "map_layers": _names(map_layers),
    }
    settings = FitSettings(**{name: one for name, one in given.items() if one is not None})
    selection = Selection(seconds=seconds, every=every, max_frames=max_frames, roi=_parse_roi(roi))
    sources = [parse_source(text, Path()) for text in source]
    fitted = _fit(out, sources, settings, selection, replace=force)
    typer.echo(_summary(out, fitted.report))


def learn_into(path: Path, learn: "Learn", roi: tuple[int, int, int, int] | None = None) -> None:
    """Fit the model that a pipeline file says how to learn."""
    from streamline.learn import FitSettings, Selection

    selection = Selection(seconds=learn.seconds, every=learn.every, roi=roi)
    fitted = _fit(path, [learn.source], FitSettings(), selection, replace=False)
    typer.echo(_summary(path, fitted.report), err=True)


def _fit(
    path: Path,
    sources: "Sequence[AnySource]",
    settings: "FitSettings",
    selection: "Selection",
    *,
    replace: bool,
) -> "Fitted":
    from streamline.cli.progress import Bars
    from streamline.learn import fit_sources
    from streamline.model import save_model

    with Bars("fit") as bar:
        fitted = fit_sources(sources, settings, selection, progress=bar)
    save_model(fitted.model, path, replace=replace)
    for warning in fitted.report.warnings:
        typer.echo(f"warning: {warning}", err=True)
    return fitted


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())


def _parse_roi(text: str | None) -> tuple[int, int, int, int] | None:
    from streamline.errors import InputError

    if text is None:
        return None
    try:
        x, y, w, h = (int(part) for part in text.split(","))
    except ValueError:
        x, y, w, h = -1, -1, 0, 0
    if x < 0 or y < 0 or w < 1 or h < 1:
        msg = f"--roi must be X,Y,W,H in whole pixels, got {text!r}"
        raise InputError(msg)
    return x, y, w, h


def _summary(path: Path, report: "FitReport") -> str:
    score = ", ".join(f"{layer} {rank}" for layer, rank in report.score_ranks.items())
    maps = ", ".join(f"{layer} {rank}" for layer, rank in report.map_ranks.items())
    distinct = f"about {report.effective_frames:.0f} of them distinct"
    rate = f"false-alarm rate {report.alpha:.2g} a frame{_origin(report)}"
    return "\n".join(
        (
            f"model      {path}",
            f"frames     {report.frames}, {distinct}",
            f"directions {score} for the score; {maps} for the map",
            f"threshold  {report.threshold:.6g}, {rate}",
            f"time       {report.seconds:.1f} s",
        )
    )


def _origin(report: "FitReport") -> str:
    return f" (the smallest {report.frames} frames support)" if report.alpha_chosen else ""
