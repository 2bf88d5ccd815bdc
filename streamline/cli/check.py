"""The command that tells whether a pipeline file would start."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamline.config import Pipeline

__all__ = ["check"]


def check(
    pipeline: Annotated[
        Path | None, typer.Argument(metavar="PIPELINE.yaml", help="The pipeline file.")
    ] = None,
    *,
    schema: Annotated[
        bool,
        typer.Option("--schema", help="Print the JSON Schema of pipeline files, for editors."),
    ] = False,
) -> None:
    """Print the configuration as it takes effect, secrets hidden, or all that is wrong with it."""
    import json

    from streamline import config
    from streamline.cli.device import require_device
    from streamline.errors import ConfigError, InputError
    from streamline.run.supervision.credentials import require_credentials

    if schema:
        typer.echo(json.dumps(config.published_schema(), indent=2, ensure_ascii=False))
        return
    if pipeline is None:
        msg = (
            "no pipeline file given (streamline check PIPELINE.yaml, or streamline check --schema)"
        )
        raise InputError(msg)
    loaded = config.load(pipeline)
    if missing := config.missing_files(loaded):
        raise ConfigError("\n".join(missing))
    require_credentials(loaded)
    require_device(loaded)
    typer.echo(config.dump_effective(loaded), nl=False)
    if loaded.infer.devices:
        typer.echo(_shares(loaded), nl=False)


def _shares(pipeline: "Pipeline") -> str:
    """Say as comments which cameras' frames are judged on which device."""
    from streamline.run.placement import infer_shares

    return "".join(
        f"# {share.name} on {share.device}: {', '.join(share.cameras)}\n"
        for share in infer_shares(pipeline)
    )
