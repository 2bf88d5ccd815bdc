"""Frames of a set as points, so that fitting to any of them again costs next to nothing."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from streamline.fre import Part, Span, fuse_errors, rank_for, span_of
from streamline.fre.crossfit import errors_left
from streamline.infer import Compute, extract_features
from streamline.learn import FitSettings

__all__ = ["Frames"]

Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


class Frames:
    """Features of a set's frames by the default model's score layers.

    Parameters
    ----------
    frames : iterable of arrays of shape (height, width, 3)
        Prepared.
    """

    def __init__(self, frames: Iterable[npt.NDArray[np.uint8]]) -> None:
        self._settings = FitSettings().resolved()
        layers = self._settings.score_layers
        net = self._settings.find_backbone(layers)
        batches = list(extract_features(net, layers, frames, compute=Compute()))
        self._spans: list[Span] = [
            span_of(np.concatenate([batch[name] for batch in batches])) for name in layers
        ]

    def __len__(self) -> int:
        return len(self._spans[0].coordinates)

    def scores(self, judged: Indices, *, fitted: Indices) -> Doubles:
        """Score frames by a fit to others, as the model that a fit to them gives."""
        return fuse_errors([self._errors(span, judged, fitted) for span in self._spans])

    def _errors(self, span: Span, judged: Indices, fitted: Indices) -> Doubles:
        part = Part.of(span, fitted)
        rank = rank_for(
            part.variances,
            retain=self._settings.retain,
            max_rank=self._settings.max_rank,
            discarded=part.discarded,
        )
        along, beyond = part.places(judged)
        errors: Doubles = errors_left(np.square(along).sum(axis=1) + beyond, along, [rank])[0]
        return errors
