"""What a user without a network would do: compare each frame with normal ones, pixel by pixel.

A fair rival: it sees the same frames in the same size, looks for the normal frame that is most
like the one at hand (so it is not fooled by where the belt stands), forgives noise and a
shaking camera by smoothing the difference, and gets its threshold as the model does, from the
same normal frames held out in the same blocks for the same false-alarm rate.
"""

from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from streamline.conformal import conformal_threshold, smallest_alpha
from streamline.fre import contiguous_blocks

__all__ = ["Differencing"]

Frames = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_BLOCKS = 10
_SEARCH = (64, 64)
"""Size at which the most similar normal frame is looked for, px."""

_SMOOTHING_PX = 4.0
"""Sigma of the smoothing of the difference, px. Measured on seeds 0-3: of 0.7, 1, 1.5, 2, 3 and
4 this one found most; root mean squares, quantiles, counts of changed pixels and distances from
the mean in standard deviations all found less."""


class Differencing:
    """Frame differencing against the most similar normal frame.

    A frame's score is the largest smoothed difference in brightness, grey levels.
    """

    def __init__(self, normal: Frames, *, threshold: float) -> None:
        self._pictures = _grey(normal)
        self._small = _small(self._pictures)
        self.threshold = threshold

    @classmethod
    def fit(cls, normal: Frames, /) -> Self:
        """Take *normal* frames for reference, and calibrate on them.

        Parameters
        ----------
        normal : array of shape (n, h, w, 3)
            Prepared normal frames in order of time; not modified.
        """
        n = len(normal)
        gap = max(1, n // 50)
        scores = np.empty(n)
        for block in contiguous_blocks(n, count=_BLOCKS):
            others = np.ones(n, bool)
            others[max(0, block.start - gap) : block.stop + gap] = False
            rest = cls(normal[others], threshold=np.inf)
            scores[block] = rest.score(normal[block])
        threshold = conformal_threshold(scores, alpha=smallest_alpha(n))
        return cls(normal, threshold=threshold)

    def score(self, frames: Frames, /) -> npt.NDArray[np.float64]:
        """Score frames of shape ``(n, h, w, 3)``; those above `threshold` fail."""
        pictures = _grey(frames)
        nearest = self._nearest(_small(pictures))
        peaks = [
            float(cv2.GaussianBlur(cv2.absdiff(picture, reference), (0, 0), _SMOOTHING_PX).max())
            for picture, reference in zip(pictures, self._pictures[nearest], strict=True)
        ]
        return np.array(peaks)

    def _nearest(self, small: Floats) -> npt.NDArray[np.intp]:
        """Return which reference is most like each frame, by squared difference."""
        squares = np.square(self._small).sum(axis=1) - 2 * small @ self._small.T
        return np.asarray(squares.argmin(axis=1), np.intp)


def _grey(frames: Frames) -> Floats:
    return np.stack([cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in frames]).astype(np.float32)


def _small(pictures: Floats) -> Floats:
    reduced = [cv2.resize(one, _SEARCH, interpolation=cv2.INTER_AREA) for one in pictures]
    return np.stack(reduced).reshape(len(pictures), -1)
