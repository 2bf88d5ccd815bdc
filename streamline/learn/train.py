"""A layer's autoencoder in place of its principal directions, if a fit asks for one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType

import numpy as np
import numpy.typing as npt

from streamline.errors import InputError
from streamline.fre import Epoch, LinearAutoencoder, Span, Subspace
from streamline.learn.settings import FitSettings

__all__ = ["Rebuilder", "rebuilder_of", "require_trainer"]

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rebuilder:
    """What reconstructs a layer's features, and how it was learnt."""

    final: Subspace | LinearAutoencoder
    curve: tuple[Epoch, ...] = ()
    """Empty if nothing was trained."""

    snapshots: dict[int, LinearAutoencoder] = field(default_factory=dict)
    """As `Training.snapshots` asked."""


def require_trainer(settings: FitSettings) -> ModuleType | None:
    """Load what trains, if the method needs it.

    Raises
    ------
    InputError
        If torch is not installed.
    """
    if settings.method == "fre-pca":
        return None
    try:
        return import_module("streamline.autoencoder")
    except ModuleNotFoundError as exc:
        if exc.name != "torch":
            raise
        msg = (
            f"{settings.method} trains with torch, which is not installed; run: "
            "pip install 'streamline[torch]', or use --method fre-pca, which learns the same"
        )
        raise InputError(msg) from exc


def rebuilder_of(
    span: Span,
    subspace: Subspace,
    settings: FitSettings,
    on_epoch: Callable[[Epoch], None],
) -> Rebuilder:
    """Learn what the method asks for, of as many directions or units as `subspace` has.

    Weights and directions are in float16, as they are stored.

    Raises
    ------
    ValueError
        If a training diverges, or there is no such device.
    """
    trainer = require_trainer(settings)
    if trainer is None or subspace.rank == len(span.variances):
        return Rebuilder(final=_halved(subspace))
    trained = trainer.train_autoencoder(
        span,
        settings.training,
        rank=subspace.rank,
        tied=settings.method == "fre-aet",
        on_epoch=on_epoch,
    )
    lost = 1 - subspace.retained
    by_epoch = {epoch.epoch: 1 - lost * (1 + epoch.excess) for epoch in trained.curve}
    last = by_epoch[trained.curve[-1].epoch]
    return Rebuilder(
        final=_lifted(span, trained.weights, last),
        curve=trained.curve,
        snapshots={
            epoch: _lifted(span, weights, by_epoch.get(epoch, last))
            for epoch, weights in trained.snapshots.items()
        },
    )


def _halved(subspace: Subspace) -> Subspace:
    return Subspace(
        mean=subspace.mean,
        directions=subspace.directions.astype(np.float16),
        singular_values=subspace.singular_values,
        discarded=subspace.discarded,
    )


def _lifted(span: Span, weights: tuple[Floats, Floats], retained: float) -> LinearAutoencoder:
    encoder = span.lift(weights[0]).astype(np.float16)
    tied = weights[1] is weights[0]
    return LinearAutoencoder(
        mean=span.mean,
        encoder=encoder,
        decoder=encoder if tied else span.lift(weights[1]).astype(np.float16),
        retained=max(retained, 0.0),
    )
