"""The command that makes a model from normal frames."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamline.cli.device import Backend, InferDevice, compute_on
from streamline.cli.method import (
    AskedMethod,
    AskedScore,
    Backbone,
    Bank,
    Device,
    Epochs,
    Hold,
    Layers,
    MapLayers,
    Method,
    Precision,
    Retain,
    Samples,
    SamplingLevel,
    Size,
    Sparsity,
    Weights,
    fit_settings,
)
from streamline.cli.view import MaskOption, RegionOption, parse_mask, parse_roi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamline.config import AnySource, Learn
    from streamline.infer import Compute
    from streamline.learn import AnyFitSettings, FitReport, Fitted, Selection
    from streamline.mask import Mask

__all__ = ["fit", "learn_into"]


def fit(  # noqa: PLR0913 - each is an option of the command
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…",
            help="Where normal product, and nothing else, is to be seen: a folder of images, a "
            "video file, rtsp://…, usb:N or demo://normal.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="MODEL", help="Directory to write.")],
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S", min=0.1, help="Use no more of each source; cameras: 20 s unless given."
        ),
    ] = None,
    every: Annotated[int, typer.Option(metavar="K", min=1, help="Use one of K frames.")] = 1,
    max_frames: Annotated[
        int, typer.Option(metavar="N", min=8, help="Use no more frames, evenly spread.")
    ] = 600,
    alpha: Annotated[
        float | None,
        typer.Option(
            metavar="A",
            help="False-alarm rate per frame; the smallest that the frames support if not given.",
        ),
    ] = None,
    retain: Retain = None,
    method: AskedMethod = Method.FRE_PCA,
    epochs: Epochs = None,
    device: Device = None,
    sampling_level: SamplingLevel = None,
    samples: Samples = None,
    sparsity: Sparsity = None,
    score_by: AskedScore = None,
    bank: Bank = None,
    hold: Hold = None,
    backbone: Backbone = None,
    layers: Layers = None,
    map_layers: MapLayers = None,
    precision: Precision = None,
    size: Size = None,
    infer_device: InferDevice = None,
    backend: Backend = None,
    weights: Weights = None,
    roi: RegionOption = None,
    mask: MaskOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the model that is there.")
    ] = False,
) -> None:
    """Learn what is normal, and the score above which a frame is not."""
    from streamline.config import parse_source
    from streamline.learn import Selection
    from streamline.model import check_free

    check_free(out, replace=force)
    region, sources = parse_roi(roi), [parse_source(text, Path()) for text in source]
    common = {
        "alpha": alpha,
        "backbone": backbone,
        "precision": precision,
        "size": size,
        "weights": weights,
        "compute": compute_on(infer_device, backend),
        "mask": parse_mask(mask, sources, region),
    }
    own = {
        "retain": retain,
        "hold": hold,
        "epochs": epochs,
        "device": device,
        "layers": layers,
        "map-layers": map_layers,
        "sampling-level": sampling_level,
        "samples": samples,
        "sparsity": sparsity,
        "score-by": score_by,
        "bank": bank,
    }
    settings = fit_settings(method, common, own)
    selection = Selection(seconds=seconds, every=every, max_frames=max_frames, roi=region)
    fitted = _fit(out, sources, settings, selection, replace=force)
    typer.echo(_summary(out, fitted))


def learn_into(
    path: Path,
    learn: "Learn",
    compute: "Compute",
    *,
    roi: tuple[int, int, int, int] | None = None,
    mask: "Mask | None" = None,
) -> None:
    """Fit the model that a pipeline file says how to learn, on what the line runs on."""
    from streamline.learn import FitSettings, Selection

    selection = Selection(seconds=learn.seconds, every=learn.every, roi=roi)
    fitted = _fit(
        path, [learn.source], FitSettings(compute=compute, mask=mask), selection, replace=False
    )
    typer.echo(_summary(path, fitted), err=True)


def _fit(
    path: Path,
    sources: "Sequence[AnySource]",
    settings: "AnyFitSettings",
    selection: "Selection",
    *,
    replace: bool,
) -> "Fitted":
    from streamline.cli.progress import Bars
    from streamline.learn import fit_sources
    from streamline.model import save_model

    with Bars("fit") as bar:
        fitted = fit_sources(sources, settings, selection, progress=bar)
    save_model(fitted.model, path, replace=replace)
    for warning in fitted.report.warnings:
        typer.echo(f"warning: {warning}", err=True)
    return fitted


def _summary(path: Path, fitted: "Fitted") -> str:
    from streamline.alert.promise import promise_of
    from streamline.cli.promise import promise_lines

    report, calibration = fitted.report, fitted.model.calibration
    heading, learnt = fitted.model.detector.summary()
    distinct = f"about {report.distinct_frames:.0f} of them distinct"
    rate = f"false-alarm rate {report.alpha:.2g} a frame{_origin(report)}"
    return "\n".join(
        (
            f"model      {path}",
            f"frames     {report.frames}, {distinct}",
            f"{heading:10} {learnt}",
            f"threshold  {report.threshold:.6g}, {rate}",
            f"time       {report.seconds:.1f} s",
            promise_lines(calibration, promise_of(calibration, fps=report.source_fps)),
        )
    )


def _origin(report: "FitReport") -> str:
    return f" (the smallest {report.frames} frames support)" if report.alpha_chosen else ""
