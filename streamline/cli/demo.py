"""The command that shows the whole product without camera, network or data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamline.demo import Demonstration

__all__ = ["demo"]


def demo(
    *,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for pipeline, models, alerts, evidence.")
    ] = Path("streamline-demo"),
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, max=2**32 - 2, help="Another seed, another line.")
    ] = 0,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the figures to this file.")
    ] = None,
) -> None:
    """Render a line with known defects, learn it, inspect it live, and say what was found."""
    from time import monotonic

    from streamline.cli.table import report_table
    from streamline.cli.writing import writable, write_text
    from streamline.demo import run_demo
    from streamline.errors import LineError
    from streamline.log import configure_logging

    configure_logging()
    writable(json)
    started = monotonic()
    outcome = run_demo(
        out, seed=seed, tell=lambda text: typer.echo(f"{monotonic() - started:5.1f} s  {text}")
    )
    write_text(json, outcome.to_json())
    typer.echo(f"\n{report_table(outcome.report)}\n\n{_found(outcome)}")
    if not outcome.report.closes:
        msg = "the accounting does not close: captured differs from judged, dropped and in flight"
        raise LineError(msg)


def _found(outcome: "Demonstration") -> str:
    """Say what the alerts found, and where to look."""
    from streamline.cli.table import render

    head = ("camera", "defects", "found", "alerts", "false", "missed")
    rows = [
        (
            name,
            str(len(matched.found) + len(matched.missed)),
            str(len(matched.found)),
            str(len(matched.true_alerts) + len(matched.false_alerts)),
            str(len(matched.false_alerts)),
            ", ".join(f"{e.kind} {e.area_share:.1%}" for e in matched.missed) or "-",
        )
        for name, matched in outcome.cameras.items()
    ]
    total = outcome.matched
    dropped = sum(sum(camera.dropped.values()) for camera in outcome.report.cameras.values())
    lines = [render([head, *rows]), ""]
    if dropped:
        lines.append(f"{dropped} frames passed unjudged because this computer was busy")
    lines += [
        f"recall {total.recall:.3f}, precision {total.precision:.3f} against the known defects",
        f"again: {_program()} run {outcome.pipeline}",
    ]
    if outcome.evidence:
        lines.append(f"evidence: {outcome.evidence[0].parents[1]}")
        lines.append(f"a picture to begin with: {outcome.evidence[0] / 'overlay.png'}")
    return "\n".join(lines)


def _program() -> str:
    """Return how this program is called from this shell."""
    import shutil
    import sys

    beside = Path(sys.executable).with_name("streamline")
    return "streamline" if shutil.which("streamline") or not beside.exists() else str(beside)
