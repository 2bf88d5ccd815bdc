"""The command that makes a smaller model of one that was fitted."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["rerank"]


def rerank(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model that was fitted.")],
    *,
    retain: Annotated[
        float,
        typer.Option(metavar="R", help="Share of the variance to keep, less than it has now."),
    ],
    out: Annotated[Path, typer.Option(metavar="NEW", help="Directory to write.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace the model that is there.")
    ] = False,
) -> None:
    """Make a smaller, faster model of one that is there; needs no pictures."""
    from streamline.model import check_free, load_model, rerank_model, save_model

    check_free(out, replace=force)
    reduced = save_model(rerank_model(load_model(model), retain=retain), out, replace=force)
    ranks = ", ".join(
        f"{name} {layer.subspace.rank}" for name, layer in reduced.fre.score_layers.items()
    )
    typer.echo(f"model      {out}")
    typer.echo(f"directions {ranks} for the score")
    typer.echo(f"threshold  {reduced.threshold:.6g}")
