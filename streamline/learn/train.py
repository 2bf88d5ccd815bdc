"""A layer's autoencoder in place of its principal directions, if a fit asks for one.

The threshold of what is trained comes from trainings too: one for each block that is held out,
from the same kind of first weights to the same tolerance. None begins where another ended: the
full training has seen the frames that are held out, and an early stop would not forget them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from types import ModuleType

import numpy as np
import numpy.typing as npt

from streamline.extras import needs_extra
from streamline.fre import (
    Epoch,
    LinearAutoencoder,
    Part,
    Span,
    Subspace,
    crossfit_errors,
    held_out,
    rank_for,
)
from streamline.learn.holdout import HoldOut
from streamline.learn.settings import FitSettings

__all__ = ["Rebuilder", "heldout_errors", "rebuilder_of", "require_trainer"]

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
    instead = "use --method fre-pca, which learns the same"
    with needs_extra("torch", ["torch"], f"training {settings.method}", instead=instead):
        return import_module("streamline.autoencoder")


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


def heldout_errors(
    span: Span,
    settings: FitSettings,
    held: HoldOut,
    shares: Sequence[float],
    on_block: Callable[[int], None],
    judged: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.float64]:
    """Reconstruction error of each frame by what the method learns of the other blocks.

    Parameters
    ----------
    shares : sequence of float
        Shares of the variance to retain; just one where the method trains.
    on_block : callable
        Told how many blocks are done, where each takes a training.
    judged : array of shape (len(shares), n), optional
        If frames were merged: what principal directions left of each before it was.  A method
        that trains is set beside principal directions on the merged coordinates, which flatter
        both alike.

    Returns
    -------
    array of shape (len(shares), n)

    Raises
    ------
    ValueError
        If a block leaves too little to fit to, a training diverges, or there is no such device.
    """
    principal = partial(
        crossfit_errors,
        span,
        blocks=held.blocks,
        gap=held.gap,
        shares=shares,
        max_rank=settings.max_rank,
    )
    if settings.method == "fre-pca":
        return principal() if judged is None else judged
    squares = np.empty(len(span.coordinates))
    folds = held_out(len(squares), blocks=held.blocks, gap=held.gap)
    for done, (block, fitted) in enumerate(folds, start=1):
        squares[block] = _trained_squares(Part.of(span, fitted), block, settings)
        on_block(done)
    errors = np.sqrt(squares)[None]
    if judged is None:
        return errors
    flattered = principal()
    return np.divide(errors * judged, flattered, out=errors, where=flattered > 0)


def _trained_squares(part: Part, block: slice, settings: FitSettings) -> npt.NDArray[np.float64]:
    """Squared errors of a block's frames by a training with the part, shape ``(b,)``."""
    trainer = require_trainer(settings)
    rank = rank_for(
        part.variances,
        retain=settings.retain,
        max_rank=settings.max_rank,
        discarded=part.discarded,
    )
    along, beyond = part.places(block)
    if trainer is None or rank == len(part.variances):
        return beyond
    encoder, decoder = trainer.train_autoencoder(
        part,
        replace(settings.training, snapshots=()),
        rank=rank,
        tied=settings.method == "fre-aet",
    ).weights
    left = along - (along @ encoder.T) @ decoder
    squares: npt.NDArray[np.float64] = np.square(left).sum(axis=1) + beyond
    return squares


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
