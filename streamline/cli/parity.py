"""The command that compares two ways to compute a model's scores."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamline.cli.device import compute_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamline.evaluate.parity import Parity
    from streamline.infer import Compute

__all__ = ["parity"]

_MOST_SHOWN = 20
"""Flips in the table; all are in the JSON."""


def parity(  # noqa: PLR0913 - each is an option of the command
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Directory of a fitted model.")],
    *,
    between: Annotated[
        str,
        typer.Option(metavar="A", help="As BACKEND[:DEVICE][@PRECISION], such as openvino:CPU."),
    ],
    other: Annotated[
        str, typer.Option("--and", metavar="B", help="Likewise, such as torch:cuda:0@bf16.")
    ],
    frames: Annotated[
        str, typer.Option(metavar="SOURCE", help="Images, a video, a camera or demo://….")
    ],
    max_frames: Annotated[
        int, typer.Option(metavar="N", min=1, help="Take no more than this many, evenly spread.")
    ] = 600,
    allow_flips: Annotated[
        bool, typer.Option("--allow-flips", help="Exit 0 even where verdicts differ.")
    ] = False,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures to this file.")
    ] = None,
) -> None:
    """Compare scores and verdicts of two backends, devices or precisions on real frames.

    For use before a model goes over to another one: exit code 1 if a verdict differs.
    """
    from streamline.bench import to_json
    from streamline.cli.writing import writable, write_text
    from streamline.config import parse_source
    from streamline.errors import StreamlineError
    from streamline.evaluate.parity import compare_scores
    from streamline.learn import SelectedFrames, Selection
    from streamline.model import load_model, require_preprocessing
    from streamline.preprocess import PREPROCESSING

    ways = compute_named(between, option="--between"), compute_named(other, option="--and")
    writable(json)
    loaded = load_model(model)
    require_preprocessing(loaded.preprocessing, PREPROCESSING)
    selection = Selection(max_frames=max_frames)
    source = parse_source(frames, Path())
    selected = SelectedFrames([source], selection, size=loaded.height)
    found = compare_scores(loaded, selected, *ways)
    write_text(json, to_json(found))
    typer.echo(_table(found))
    if found.flips and not allow_flips:
        msg = (
            f"{len(found.flips)} of {found.frames} verdicts differ: keep the model where it is, "
            "or calibrate it where it is to go (--allow-flips accepts them)"
        )
        raise StreamlineError(msg)


def _table(found: "Parity") -> str:
    from streamline.cli.table import render

    lines = [
        f"frames              {found.frames}",
        f"between             {_way(found.between)}",
        f"and                 {_way(found.other)}",
        f"largest difference  {found.largest:.4%} of the score, of frame {found.largest_at}",
        f"mean difference     {found.mean:.4%}",
        f"other verdicts      {len(found.flips)}, at the threshold {found.threshold:.6g}",
    ]
    if found.flips:
        rows: list[Sequence[str]] = [("frame", "score", "and", "verdict", "and")]
        rows += [
            (str(flip.frame), *(f"{score:.6g}" for score in flip.scores), *flip.verdicts)
            for flip in found.flips[:_MOST_SHOWN]
        ]
        lines += ["", render(rows)]
    return "\n".join(lines)


def _way(compute: "Compute") -> str:
    return f"{compute.backend} on {compute.device} in {compute.precision}"
