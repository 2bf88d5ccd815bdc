"""The command that says what a model is, and what it promises."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streamline.alert.promise import Promise
    from streamline.mask import Mask
    from streamline.model import Calibration, Model

__all__ = ["show"]


def show(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Directory of a fitted model.")],
    *,
    calibration: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A camera's own, in place of the model's."),
    ] = None,
    k: Annotated[int, typer.Option(metavar="K", help="alert.k of the line.")] = 3,
    n: Annotated[int, typer.Option(metavar="N", help="alert.n of the line.")] = 5,
    fps: Annotated[
        float | None,
        typer.Option(
            metavar="R", min=1e-6, help="Frames a second; as they were recorded unless given."
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures to this file.")
    ] = None,
) -> None:
    """Say what a model is, what its false-alarm rate promises, and what it does not."""
    from json import dumps

    from streamline.alert.promise import promise_of
    from streamline.cli.promise import promise_lines
    from streamline.cli.writing import writable, write_text
    from streamline.errors import InputError
    from streamline.model import calibration_of, load_model

    if not 1 <= k <= n:
        msg = f"--k must be from 1 to --n, got {k} of {n}"
        raise InputError(msg)
    writable(json)
    loaded = load_model(model)
    used = calibration_of(model, loaded.digest, calibration)
    promise = promise_of(used, k=k, n=n, fps=fps)
    write_text(json, dumps(_figures(loaded, used, promise), indent=2) + "\n")
    typer.echo(_model_lines(model, loaded))
    if used.mask is not None:
        typer.echo(f"mask       {_polygons(used.mask)}, by the camera's calibration")
    typer.echo(promise_lines(used, promise))


def _model_lines(path: Path, model: "Model") -> str:
    heading, learnt = model.detector.summary()
    size = f"{model.height} x {model.width} px"
    distinct = f"about {model.distinct_frames:.0f} of them distinct"
    return "\n".join(
        (
            f"model      {path}, {model.digest[:12]}",
            f"fitted to  {model.source}, {model.created}",
            f"frames     {model.detector.frames}, {distinct}",
            f"network    {model.backbone.name} {model.backbone.precision}, {size}",
            f"{heading:10} {learnt}",
            *([] if model.mask is None else [f"mask       {_polygons(model.mask)}, fitted so"]),
        )
    )


def _polygons(mask: "Mask") -> str:
    covered = mask.covered(256, 256).mean()
    return f"{len(mask.polygons)} polygons over {covered:.0%} of the view"


def _figures(model: "Model", calibration: "Calibration", promise: "Promise") -> dict[str, Any]:
    return {
        "model": model.digest,
        "calibration": calibration.digest,
        "distinct_frames": model.distinct_frames,
        **asdict(promise),
    }
