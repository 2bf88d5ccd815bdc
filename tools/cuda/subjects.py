"""The models that are measured, each fitted on the device itself, and how long that took."""

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from streamline.bench.paper import write_weights
from streamline.config import parse_source
from streamline.infer import Compute
from streamline.learn import FitSettings, Selection, fit_frames
from streamline.learn.select import SelectedFrames
from streamline.model import save_model

__all__ = ["FULL", "TRIAL", "FitFigures", "Subject", "fit_subject"]

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model to be measured."""

    name: str
    backbone: str = "efficientnet_lite0"
    layers: tuple[str, ...] = ()
    """None: the default."""

    rank: int | None = None
    """Directions that are kept; None: as many as a fit takes by itself."""

    random: bool = False
    """Whether its network has random weights: speed does not depend on them."""

    methods: tuple[Literal["fre-pca", "fre-aet"], ...] = ("fre-pca", "fre-aet")
    """By which it is fitted in turn; the first is what is judged with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitFigures:
    """A fit of frames that are decoded already."""

    subject: str
    method: str
    frames: int
    features: int
    rank: int
    seconds: float
    """From the first frame to the calibrated model, the second time: what is compiled or chosen
    once is there."""


FULL: Final = (
    Subject(name="default"),
    Subject(
        name="ResNet-50 layer 3", backbone="resnet50", layers=("layer3",), rank=220, random=True
    ),
)

TRIAL: Final = (Subject(name="block 1", layers=("block1",), rank=4),)
"""Small enough for any computer."""


def fit_subject(subject: Subject, compute: Compute, folder: Path, frames: int) -> list[FitFigures]:
    """Fit a model by each method and save the first; for the measuring process.

    Raises
    ------
    InputError
        If the device fails.
    """
    source = SelectedFrames([parse_source("demo://normal", Path())], Selection(max_frames=frames))
    seen = list(islice(source, frames))
    settings = _settings(subject, compute, folder)
    figures = []
    for method in reversed(subject.methods):
        chosen = replace(settings, method=method)
        fit_frames(seen, chosen, source="frames for timing")
        began_s = perf_counter()
        model = fit_frames(seen, chosen, source="frames for timing").model
        seconds = perf_counter() - began_s
        save_model(model, folder / subject.name, replace=True)
        subspaces = [layer.subspace for layer in model.fre.score_layers.values()]
        figures.append(
            FitFigures(
                subject=subject.name,
                method=method,
                frames=len(seen),
                features=sum(len(one.mean) for one in subspaces),
                rank=sum(one.rank for one in subspaces),
                seconds=seconds,
            )
        )
    return figures[::-1]


def _settings(subject: Subject, compute: Compute, folder: Path) -> FitSettings:
    settings = FitSettings(
        backbone=subject.backbone,
        score_layers=subject.layers,
        compute=compute,
        precision="bf16" if subject.random else None,
    )
    if subject.random:
        weights = folder / f"{subject.backbone}.safetensors"
        if not weights.exists():
            write_weights(subject.backbone, weights)
        settings = replace(settings, weights=weights)
    if subject.rank is None:
        return settings
    return replace(settings, retain=1.0, max_rank=subject.rank, map_max_rank=subject.rank)
