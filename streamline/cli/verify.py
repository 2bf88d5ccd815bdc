"""The command that checks the record of a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamline.audit.verify import Verification

__all__ = ["EvidenceFolder", "KeyFile", "RunDir", "verify"]

RunDir = Annotated[
    Path, typer.Argument(metavar="RUN_DIR", help="A run's folder, below record.audit.")
]
KeyFile = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="The key, if record.audit names one.")
]
EvidenceFolder = Annotated[
    Path | None,
    typer.Option("--evidence", metavar="DIR", help="Where all evidence is, if it was moved."),
]


def verify(
    run_dir: RunDir,
    *,
    key: KeyFile = None,
    evidence: EvidenceFolder = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write what was found as JSON.")
    ] = None,
) -> None:
    """Check a run's record, its evidence and its accounting; exit code 1 names each fault."""
    import msgspec

    from streamline.audit.chain import Seal
    from streamline.audit.verify import verify_run
    from streamline.cli.writing import writable, write_text
    from streamline.errors import StreamlineError

    writable(json)
    found = verify_run(run_dir, Seal.from_file(key), evidence=evidence)
    write_text(json, msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
    typer.echo("\n".join(_lines(found)))
    if found.faults:
        count = len(found.faults)
        msg = f"{run_dir}: {count} {'fault' if count == 1 else 'faults'}; keep a copy as it is"
        raise StreamlineError(msg)


def _lines(found: "Verification") -> list[str]:
    chains = ", ".join(f"{name} {count}" for name, count in found.records.items())
    seal = "with a key" if found.keyed else "without a key: who may write the files can redo them"
    return [
        f"run       {found.run}",
        f"records   {chains}",
        f"sealed    {seal}",
        f"evidence  {found.evidence} frames, {found.files} files",
        *(f"note      {note}" for note in found.notes),
        *(f"fault     {fault}" for fault in found.faults),
        *([] if found.faults else ["nothing is missing and nothing was changed"]),
    ]
