"""The command that looks at what a support engineer would ask about."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from streamline.doctor import Examination, Finding

__all__ = ["doctor"]


def doctor(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[PIPELINE.yaml | URL | DEVICE]",
            show_default=False,
            help="A pipeline file; or one camera, to get a pipeline file for it; "
            "or nothing, to look at this computer alone.",
        ),
    ] = None,
    *,
    seconds: Annotated[
        float,
        typer.Option(metavar="S", min=0.5, max=600, help="How long to watch each camera."),
    ] = 3.0,
    stage: Annotated[
        Literal["source", "preprocess", "infer", "alert"] | None,
        typer.Option(
            metavar="NAME", help="The stage that runs here, of a line over several computers."
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write what was found as JSON.")
    ] = None,
) -> None:
    """Look at computer, cameras and pipeline file; exit code 1 if something can't work."""
    from streamline.cli.writing import writable, write_text
    from streamline.config import load
    from streamline.doctor import examine_computer, examine_pipeline

    writable(json)
    if what is not None and Path(what).suffix.lower() not in {".yaml", ".yml"}:
        _camera(what, seconds, json)
        return
    found = (
        examine_computer()
        if what is None
        else examine_pipeline(load(what), seconds=seconds, only=stage)
    )
    write_text(json, _json(found))
    typer.echo("\n".join(map(_line, found.findings)))
    if found.fails:
        from streamline.errors import StreamlineError

        msg = f"{found.fails} of {len(found.findings)} checks failed; each says what to do"
        raise StreamlineError(msg)


def _camera(written: str, seconds: float, json: Path | None) -> None:
    """Look at one camera and print a pipeline file for it; what was seen goes beside it."""
    from json import dumps

    from streamline.cli.writing import write_text
    from streamline.config import parse_source
    from streamline.doctor import pipeline_for, probe

    source = parse_source(written, Path())
    seen = probe(source, seconds=seconds)
    text = pipeline_for(written, source, seen)
    write_text(json, dumps({"seen": _plain(seen), "pipeline": text}, indent=2) + "\n")
    typer.echo(f"{source.label}: {seen}", err=True)
    typer.echo(text, nl=False)


def _line(finding: "Finding") -> str:
    line = f"{finding.status:<4}  {finding.check:<14}  {finding.what}"
    return f"{line}\n{'':<6}{'':<14}  → {finding.remedy}" if finding.remedy else line


def _json(found: "Examination") -> str:
    from json import dumps

    return dumps({**_plain(found), "fails": found.fails}, indent=2, ensure_ascii=False) + "\n"


def _plain(record: object) -> "dict[str, object]":
    """Turn a record into what JSON knows."""
    import msgspec

    plain: dict[str, object] = msgspec.to_builtins(record)
    return plain
