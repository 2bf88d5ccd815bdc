"""The command that computes a run's scores again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamline.cli.verify import EvidenceFolder, KeyFile, RunDir

if TYPE_CHECKING:
    from streamline.audit.replay import Difference, Replay, Replayable
    from streamline.infer import Compute

__all__ = ["replay"]

_MOST_SHOWN = 20
"""Differences in the table; all are in the JSON."""

_HERE = 1e-4
"""Tolerance where nothing is otherwise than in the run but the batches of the frames. Measured are
8e-7 for SGFR, whose products NumPy adds up in an order that goes by the batch's size, nothing for
FRE on processors with AVX2 and AVX-512, and 1.5e-5 with AVX2's kernels on one with AVX-512."""

_ELSEWHERE = 0.02
"""Tolerance where something is otherwise than in the run: an INT8 network that is rounded by other
kernels gave scores up to 1.02 % off."""


def replay(  # noqa: PLR0913 - each is an option of the command
    run_dir: RunDir,
    *,
    compute: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="B",
            help="BACKEND[:DEVICE][@PRECISION], such as torch:cuda:0@bf16; that of the run "
            "unless given.",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            min=0.0,
            help="How far a score may be off: 0.0001 unless given, and 0.02 where anything is "
            "otherwise than in the run.",
        ),
    ] = None,
    model: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="The run's model, if it was moved; may be repeated."),
    ] = None,
    evidence: EvidenceFolder = None,
    key: KeyFile = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write what was found as JSON.")
    ] = None,
) -> None:
    """Compute a run's scores again from its evidence; exit code 1 lists those that differ."""
    import msgspec

    from streamline.audit.chain import Seal
    from streamline.audit.replay import read_replayable, replay_run
    from streamline.cli.writing import writable, write_text
    from streamline.errors import StreamlineError

    writable(json)
    run = read_replayable(run_dir, Seal.from_file(key), evidence=evidence)
    ours = _compute(run, compute)
    otherwise = run.differs(ours)
    allowed = tolerance if tolerance is not None else _ELSEWHERE if otherwise else _HERE
    found = replay_run(run, ours, models=model or (), evidence=evidence)
    write_text(json, msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
    beyond = found.beyond(allowed)
    typer.echo("\n".join(_lines(found, otherwise, allowed, beyond)))
    if beyond or not found.frames:
        what = f"{len(beyond)} of {found.frames} scores differ by more than allowed, or are missing"
        msg = f"{run_dir}: {what if found.frames else 'no frame with a score is kept here'}"
        raise StreamlineError(msg)


def _compute(run: "Replayable", named: str | None) -> "Compute":
    from dataclasses import replace

    from streamline.cli.device import compute_named

    if named is None:
        return run.compute
    return replace(compute_named(named, option="--on"), max_batch=run.compute.max_batch)


def _lines(
    found: "Replay", otherwise: list[str], allowed: float, beyond: "list[Difference]"
) -> list[str]:
    return [
        f"run        {found.run}",
        f"otherwise  {'; '.join(otherwise) or 'nothing'}",
        f"frames     {found.frames}, and {found.without_evidence} scores without evidence",
        f"equal      {found.equal} to the last bit",
        f"largest    {found.largest:.3g} of the score, of {allowed:g} allowed",
        f"flips      {sum(one.flips for one in found.differences)} verdicts would be others",
        *(_line(one) for one in beyond[:_MOST_SHOWN]),
    ]


def _line(one: "Difference") -> str:
    if one.computed is None:
        return f"differs    {one.item}: {one.recorded:.9g} recorded, none computed: {one.why}"
    flips = ", another verdict" if one.flips else ""
    return f"differs    {one.item}: {one.recorded:.9g} recorded, {one.computed:.9g} here{flips}"
