"""A fitted model with fewer directions: what it was fitted on is not needed for it."""

from dataclasses import replace

import numpy as np

from streamline.conformal import effective_size
from streamline.errors import InputError
from streamline.fre import LinearAutoencoder
from streamline.model.fre import FittedLayer, FreDetector
from streamline.model.record import Model

__all__ = ["rerank_model"]


_UNORDERED = "the units of an autoencoder are in no order; fit with --method fre-pca to reduce it"

_RECALIBRATED = (
    "the model was calibrated again after its fit, for all of its directions; fit it again, reduce "
    "it, and calibrate it then"
)


def rerank_model(model: Model, /, *, retain: float) -> Model:
    """Keep only the directions that a smaller share of the variance needs.

    Directions and threshold are those that a fit with this share would have given: the model
    carries the scores of its held-out frames for each share it can be reduced to.

    Parameters
    ----------
    retain : float
        One of `FreDetector.shares`.

    Returns
    -------
    Model
        Without a digest until it is saved.

    Raises
    ------
    InputError
        If the model can't be reduced to this share.
    ModelError
        If it is no FRE model.
    """
    detector = model.fre
    if any(isinstance(one.subspace, LinearAutoencoder) for one in detector.score_layers.values()):
        raise InputError(_UNORDERED)
    if model.calibration.way != "cross-fit":
        raise InputError(_RECALIBRATED)
    found = np.flatnonzero(np.isclose(detector.shares, retain, rtol=0, atol=1e-9))
    if not len(found):
        msg = (
            f"the model can't be reduced to {retain:g} of the variance: it was fitted with "
            f"{detector.retain:g} and knows thresholds for smaller multiples of 0.005 down to "
            f"{detector.shares[-1]:g}; choose one of these, or fit again"
        )
        raise InputError(msg)
    first = int(found[0])
    scores = detector.heldout[first].astype(np.float64)
    reduced = FreDetector(
        score_layers={name: _reduced(one, retain) for name, one in detector.score_layers.items()},
        map_layers={name: _reduced(one, retain) for name, one in detector.map_layers.items()},
        retain=retain,
        shares=detector.shares[first:],
        heldout=detector.heldout[first:],
    )
    calibration = replace(
        model.calibration,
        scores=scores,
        effective_frames=effective_size(scores),
        model="",
        digest="",
    )
    return replace(model, detector=reduced, calibration=calibration, digest="")


def _reduced(layer: FittedLayer, retain: float) -> FittedLayer:
    if isinstance(layer.subspace, LinearAutoencoder):
        raise InputError(_UNORDERED)
    return replace(layer, subspace=layer.subspace.reduced(retain=retain))
