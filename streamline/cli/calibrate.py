"""The command that calibrates a fitted model again, or for one camera."""

from pathlib import Path
from typing import Annotated

import typer

from streamline.cli.device import Backend, InferDevice, compute_on
from streamline.cli.view import MaskOption, RegionOption, parse_mask, parse_roi

__all__ = ["calibrate"]


def calibrate(  # noqa: PLR0913 - each is an option of the command
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Directory of a fitted model.")],
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…",
            help="Normal product, and nothing else, that the model was not fitted to: a folder of "
            "images, a video file, rtsp://…, usb:N or demo://normal?seed=1.",
        ),
    ],
    *,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a camera's own calibration, which its calibration key in the pipeline file "
            "names; the model's own is replaced unless given.",
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(metavar="A", help="False-alarm rate per frame; the model's unless given."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S", min=0.1, help="Use no more of each source; cameras: 60 s unless given."
        ),
    ] = None,
    every: Annotated[
        int,
        typer.Option(
            metavar="K",
            min=1,
            help="Use one of K frames.",
        ),
    ] = 1,
    max_frames: Annotated[
        int, typer.Option(metavar="N", min=8, max=1 << 20, help="Use no more, evenly spread.")
    ] = 100_000,
    roi: RegionOption = None,
    mask: MaskOption = None,
    infer_device: InferDevice = None,
    backend: Backend = None,
) -> None:
    """Read the threshold anew, from normal frames that the model was not fitted to."""
    from streamline.alert.promise import promise_of
    from streamline.cli.progress import Bars
    from streamline.cli.promise import promise_lines
    from streamline.config import parse_source
    from streamline.errors import InputError
    from streamline.learn import CalibrateSettings, Selection, calibrate_sources
    from streamline.model import load_model, recalibrate, save_calibration

    if mask and to is None:
        msg = "--mask is for a camera's own calibration: give --to FILE, or fit with --mask"
        raise InputError(msg)
    region, sources = parse_roi(roi), [parse_source(text, Path()) for text in source]
    masked = parse_mask(mask, sources, region)
    selection = Selection(
        seconds=seconds,
        every=every,
        max_frames=max_frames,
        live_seconds=60.0,
        roi=region,
    )
    loaded = load_model(model)
    settings = CalibrateSettings(
        alpha=alpha, mask=masked, compute=compute_on(infer_device, backend)
    )
    with Bars("calibrate") as bar:
        made = calibrate_sources(loaded, sources, selection, settings, progress=bar)
    written = recalibrate(model, made) if to is None else save_calibration(made, to)
    typer.echo(f"written to {model if to is None else to}")
    typer.echo(promise_lines(written, promise_of(written)))
