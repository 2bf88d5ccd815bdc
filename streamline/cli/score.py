"""The command that scores still images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamline.cli.device import Backend, InferDevice, compute_on

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from streamline.infer import Compute
    from streamline.messages import Picture
    from streamline.model import Model

    Row = tuple[Path, Picture, float, npt.NDArray[np.float16] | None]

__all__ = ["score"]


def score(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Directory of a fitted model.")],
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES…", help="Images, or folders of images.")
    ],
    *,
    heatmaps: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write each image with its heat map over it."),
    ] = None,
    infer_device: InferDevice = None,
    backend: Backend = None,
) -> None:
    """Print a JSON line for each image: score, p-value, threshold and verdict."""
    import json
    import math

    from streamline.infer import threshold_doubt
    from streamline.model import load_model, require_preprocessing
    from streamline.preprocess import PREPROCESSING

    loaded = load_model(model)
    require_preprocessing(loaded.preprocessing, PREPROCESSING)
    compute = compute_on(infer_device, backend)
    if doubt := threshold_doubt(loaded, compute):
        typer.echo(f"warning: {doubt}", err=True)
    paths = _listed(images)
    for path, picture, value, heat in _rows(loaded, paths, compute, maps=heatmaps is not None):
        # Not "above": a score that is no number must never read as a pass.
        verdict = "pass" if value <= loaded.threshold else "fail"
        row = {
            "image": str(path),
            "score": value,
            "p_value": None if math.isnan(value) else loaded.calibration.test.p_value(value),
            "threshold": loaded.threshold,
            "verdict": verdict,
        }
        typer.echo(json.dumps(row))
        if heatmaps is not None:
            _draw(_place(path, paths, heatmaps), picture, heat, value, loaded.threshold)


def _listed(images: "Sequence[Path]") -> list[Path]:
    from streamline.errors import InputError, SourceError
    from streamline.source import image_paths

    try:
        return [path for one in images for path in (image_paths(one) if one.is_dir() else [one])]
    except SourceError as exc:
        raise InputError(str(exc)) from exc


def _rows(
    model: "Model", paths: "Sequence[Path]", compute: "Compute", *, maps: bool
) -> "Iterator[Row]":
    """Score the images in their order; a picture stays in memory until its row is out."""
    from collections import deque
    from itertools import repeat, tee

    from streamline.errors import InputError, SourceError
    from streamline.infer import map_frames, score_frames
    from streamline.preprocess import prepare
    from streamline.source import read_image

    waiting: deque[tuple[Path, Picture]] = deque()

    def frames() -> "Iterator[npt.NDArray[np.uint8]]":
        for path in paths:
            picture = read_image(path)
            waiting.append((path, picture))
            yield prepare(picture, size=(model.height, model.width))

    for_score, for_map = tee(frames())
    scored = score_frames(model, for_score, compute=compute)
    mapped = map_frames(model, for_map, compute=compute) if maps else repeat(None)
    try:
        for scores, heats in zip(scored, mapped, strict=False):
            for index, value in enumerate(scores.tolist()):
                path, picture = waiting.popleft()
                yield path, picture, value, None if heats is None else heats[index]
    except SourceError as exc:
        raise InputError(str(exc)) from exc


def _place(path: Path, paths: "Sequence[Path]", folder: Path) -> Path:
    """Where an image's heat map goes: the images' own tree, below `folder`."""
    import os

    top = os.path.commonpath([one.parent.absolute() for one in paths])
    below = path.absolute().relative_to(top)
    name = below.name if below.suffix.lower() == ".png" else f"{below.name}.png"
    return folder / below.with_name(name)


def _draw(
    place: Path,
    picture: "Picture",
    heat: "npt.NDArray[np.float16] | None",
    value: float,
    threshold: float,
) -> None:
    from streamline.errors import InputError
    from streamline.evidence import overlay
    from streamline.evidence.encode import encode_png

    drawn = encode_png(overlay(picture, heat, score=value, threshold=threshold))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(drawn)
    except OSError as exc:
        msg = f"the heat map {place} can't be written: {exc.strerror}"
        raise InputError(msg) from exc
