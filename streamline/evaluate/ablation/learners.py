"""One layer of a category, learnt by principal directions and by training."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from streamline.evaluate.ablation.directions import eigenvalue_gap, largest_angle
from streamline.evaluate.ablation.features import LayerFeatures
from streamline.fre import (
    Epoch,
    LinearAutoencoder,
    Span,
    Subspace,
    reconstruction_error,
    span_of,
    subspace_of,
)
from streamline.learn import FitSettings
from streamline.learn.settings import FreMethod
from streamline.learn.train import rebuilder_of
from streamline.progress import Progress

__all__ = ["CHECKPOINTS", "LEARNERS", "Learnt", "learn_layer"]

Doubles = npt.NDArray[np.float64]

LEARNERS: Final[Mapping[str, tuple[FreMethod, Literal["random", "pca"]]]] = MappingProxyType(
    {
        "PCA": ("fre-pca", "random"),
        "AE": ("fre-ae", "random"),
        "AEt": ("fre-aet", "random"),
        "AE from PCA": ("fre-ae", "pca"),
    }
)
"""Method and first weights."""

CHECKPOINTS: Final = (0, 1, 2, 5, 10, 20, 50, 100)
"""Epochs after which the test images are scored."""

_CHUNK: Final = 128
"""Test images that are reconstructed together, to bound the memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learnt:
    """What one learner made of one layer."""

    figures: Mapping[str, float | None]
    curve: Sequence[Epoch]
    """Empty if nothing was trained."""

    errors: Doubles
    """Shape ``(n,)``: of the test images, in the end."""

    early: Mapping[int, Doubles]
    """The same after the checkpoints before the end."""

    @property
    def last(self) -> int:
        """The epoch that training ended with."""
        return self.curve[-1].epoch if self.curve else 0

    def errors_after(self, epoch: int) -> Doubles:
        """Tell the errors of the test images after an epoch; the last ones if it had ended."""
        return self.early.get(epoch, self.errors)


def learn_layer(
    layer: str, features: LayerFeatures, settings: FitSettings, progress: Progress
) -> Iterator[tuple[str, Learnt]]:
    """Let each learner have the layer, and say what its reconstruction of the test is worth.

    Parameters
    ----------
    layer : str
        What it is called, for those who watch.

    Yields
    ------
    name, learnt : str, Learnt
        In the order of `LEARNERS`.

    Raises
    ------
    ValueError
        If the images don't differ, a training diverges, or there is no such device.
    """
    span = span_of(features.train, solver=settings.solver)
    subspace = subspace_of(span, retain=settings.retain, max_rank=settings.max_rank)
    for name, (method, initial) in LEARNERS.items():
        training = replace(settings.training, initial=initial, snapshots=CHECKPOINTS)
        made = rebuilder_of(
            span,
            subspace,
            replace(settings, method=method, training=training),
            partial(_tell, progress, f"training of {layer}, {name}", training.epochs),
        )
        last = made.curve[-1].epoch if made.curve else 0
        yield (
            name,
            Learnt(
                figures=_figures(span, subspace, made.final, made.curve, settings),
                curve=made.curve,
                errors=_errors(features, made.final),
                early={
                    epoch: _errors(features, then)
                    for epoch, then in made.snapshots.items()
                    if epoch < last
                },
            ),
        )


def _tell(progress: Progress, what: str, epochs: int, epoch: Epoch) -> None:
    progress(what, epoch.epoch, epochs)


def _figures(
    span: Span,
    subspace: Subspace,
    final: Subspace | LinearAutoencoder,
    curve: Sequence[Epoch],
    settings: FitSettings,
) -> dict[str, float | None]:
    half = max(1, subspace.rank // 2)
    shown: dict[str, float | None] = {
        "k": subspace.rank,
        "gap": eigenvalue_gap(span.variances, subspace.rank, subspace.rank),
        "gap_half": eigenvalue_gap(span.variances, half, subspace.rank),
    }
    if curve:
        converged = curve[-1].excess <= settings.training.tolerance
        shown |= {
            "epochs": curve[-1].epoch if converged else None,
            "relative_error": 1 + curve[-1].excess,
            "angle_half": largest_angle(subspace.directions[:half], final.decoder),
            "angle": largest_angle(subspace.directions, final.decoder),
        }
    return shown


def _errors(features: LayerFeatures, rebuilder: Subspace | LinearAutoencoder) -> Doubles:
    test = features.test
    parts = [test[start : start + _CHUNK] for start in range(0, len(test), _CHUNK)]
    return np.concatenate([reconstruction_error(part, rebuilder) for part in parts])
