"""A model that leaves out what a mask covers: fitted so, or seen through it afterwards.

Where features are left out, the best that a subspace of normal frames can do with those that are
left is the projection onto its directions cut down to them, made orthonormal again. So one model
serves cameras with masks of their own: each judges by the same normal frames, of which it sees
less. Held-out scores are others then: such a camera has a calibration of its own.
"""

import hashlib
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from streamline.errors import ModelError
from streamline.fre import LinearAutoencoder, Subspace
from streamline.mask import Coverage, Mask
from streamline.model.fre import FittedLayer, FreDetector
from streamline.model.record import Model
from streamline.model.sgfr import BankLayer, SgfrDetector
from streamline.sgfr import StoredBank

__all__ = ["digest_under", "hide_cells", "kept_cells", "restrict_model"]

Bools = npt.NDArray[np.bool_]
Detector = TypeVar("Detector", FreDetector, SgfrDetector)
Layer = TypeVar("Layer", FittedLayer, BankLayer)

_SEEN = 1e-4
"""Share of a direction's squares that must be left of it, or it is left out."""


def kept_cells(coverage: Coverage, name: str, grid: tuple[int, int], /) -> Bools:
    """Say which cells of a layer are judged, shape `grid`; see `Coverage.kept`.

    Raises
    ------
    ModelError
        If none is.
    """
    kept = coverage.kept(grid)
    if not kept.any():
        msg = f"the mask leaves no cell of {name}, so there is nothing to judge; make it smaller"
        raise ModelError(msg)
    return kept


def hide_cells(detector: Detector, mask: Mask | None, *, size: tuple[int, int]) -> Detector:
    """Leave out a mask's cells of a detector that was fitted without them, if there is a mask.

    Raises
    ------
    ModelError
        If nothing is left of a layer.
    """
    if mask is None:
        return detector
    over = mask.over(size)
    if isinstance(detector, SgfrDetector):
        banks = {name: _hidden(name, one, over) for name, one in detector.layers.items()}
        return replace(detector, layers=banks)
    score, maps = (
        {name: _hidden(name, one, over) for name, one in layers.items()}
        for layers in (detector.score_layers, detector.map_layers)
    )
    return replace(detector, score_layers=score, map_layers=maps)


def restrict_model(model: Model, mask: Mask, /) -> Model:
    """See a model through a mask that it was not fitted with.

    Returns
    -------
    Model
        With a digest of its own. Its calibration is that of the whole: take another.

    Raises
    ------
    ModelError
        If nothing is left of a layer, or the model is an autoencoder, whose units are no
        directions to cut down.
    """
    size = model.height, model.width
    whole = model.detector
    detector = (
        _cut_banks(hide_cells(whole, mask, size=size))
        if isinstance(whole, SgfrDetector)
        else _cut_layers(hide_cells(whole, mask, size=size))
    )
    return replace(model, detector=detector, digest=digest_under(model.digest, mask))


def digest_under(digest: str, mask: Mask | None, /) -> str:
    """Name a model as it is seen through a mask; as it is if there is none."""
    if mask is None:
        return digest
    return hashlib.sha256(f"{digest} under {mask.digest}".encode()).hexdigest()


def _hidden(name: str, layer: Layer, over: Coverage) -> Layer:
    kept = kept_cells(over, name, layer.shape[1:])
    return replace(layer, kept=kept if layer.kept is None else kept & layer.kept)


def _cut_banks(detector: SgfrDetector) -> SgfrDetector:
    layers = {name: _cut_bank(one) for name, one in detector.layers.items()}
    return replace(detector, layers=layers)


def _cut_layers(detector: FreDetector) -> FreDetector:
    score, maps = (
        {name: _cut(one) for name, one in layers.items()}
        for layers in (detector.score_layers, detector.map_layers)
    )
    return replace(detector, score_layers=score, map_layers=maps)


def _cut(layer: FittedLayer) -> FittedLayer:
    subspace = layer.subspace
    if isinstance(subspace, LinearAutoencoder):
        msg = "an autoencoder can't be seen through a mask; fit it with --mask"
        raise ModelError(msg)
    if layer.kept is None or layer.kept.all():
        return layer
    seen = np.broadcast_to(layer.kept, layer.shape).ravel()
    directions = np.where(seen, subspace.directions, 0).astype(np.float32)
    cut = Subspace(
        mean=subspace.mean,
        directions=_orthonormal(directions).astype(np.float16),
        singular_values=subspace.singular_values,
        discarded=subspace.discarded,
    )
    return replace(layer, subspace=cut)


def _orthonormal(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Orthonormal rows of the same span, without what has next to no length.

    In one thread: more of them add up in another order, and a score would hang, in its last bits,
    on what was set when its line was started.
    """
    with threadpool_limits(1, "blas"):
        squares, vectors = np.linalg.eigh((rows @ rows.T).astype(np.float64))
        left = squares > _SEEN
        turn = (vectors[:, left] / np.sqrt(squares[left])).T[::-1]
        return np.asarray(turn.astype(np.float32) @ rows, np.float32)


def _cut_bank(layer: BankLayer) -> BankLayer:
    if layer.kept is None:
        return layer
    seen = np.broadcast_to(layer.kept, layer.shape).ravel()
    codes = layer.bank.codes.copy()
    codes[:, ~seen] = 0
    return replace(layer, bank=StoredBank(codes=codes, scales=layer.bank.scales))
