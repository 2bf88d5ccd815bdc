"""The command that makes the key of a host."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["keys"]


def keys(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where this host's key is, or is to be.")
    ],
) -> None:
    """Make this host's key for links between hosts, if there is none yet; print its public half."""
    from streamline.transport.curve import KeyPair

    if file.exists():
        pair = KeyPair.read(file)
    else:
        pair = KeyPair.new()
        pair.write(file)
        typer.echo(f"{file} is this host's key: keep it here, and show it to nobody", err=True)
        typer.echo("links.keys of the pipeline file names the public one of each host:", err=True)
    typer.echo(pair.public)
