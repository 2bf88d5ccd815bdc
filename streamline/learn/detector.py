"""What a fit of any method comes to, before the threshold is read from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from streamline.fre import Epoch, Span
from streamline.infer import Features
from streamline.learn.holdout import HoldOut
from streamline.model import FreDetector, SgfrDetector
from streamline.progress import Progress

__all__ = ["DetectorFit", "FittedDetector", "Places"]


class Places(NamedTuple):
    """Where frames lie, without the features that this was learnt from; see `Span`."""

    coordinates: npt.NDArray[np.floating]
    outside: npt.NDArray[np.float64]

    @classmethod
    def of(cls, span: Span) -> Self:
        """Take the places of frames from their span."""
        return cls(span.coordinates, span.outside)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedDetector:
    """A detector, and what it says of frames it has not seen."""

    detector: FreDetector | SgfrDetector
    scores: npt.NDArray[np.float64]
    """Shape ``(n,)``: of each frame, by the fit to frames far from it."""

    held: HoldOut
    """How they were held out."""

    places: Places
    """Of all frames, in the layer by which they are told apart."""

    training: Mapping[str, tuple[Epoch, ...]] = field(default_factory=dict)
    """How the training of each layer went; empty if nothing was trained."""

    warnings: tuple[str, ...] = ()


class DetectorFit(Protocol):
    """Takes the features of all frames in batches, and fits to them."""

    frames: int
    """Taken so far."""

    def add(self, passes: Sequence[Features], /) -> None:
        """Take the features of a batch, one mapping for each pass of the settings."""
        ...

    def finish(self, held: HoldOut, progress: Progress) -> FittedDetector:
        """Fit, and score each frame by the others, held out like that where they can be.

        Raises
        ------
        ValueError
            If the frames do not differ, or hold values that are no finite numbers.
        """
        ...
