"""How far a view has moved against another one, by phase correlation."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from streamline.scene.look import THUMBNAIL

__all__ = ["Shift", "ViewFinder"]

_FARTHEST: Final = THUMBNAIL // 4
"""Shifts are looked for up to this, px of the thumbnail; of a larger one too little is left."""

_BAND: Final = 0.15
"""Standard deviation of the low-pass, cycles per pixel: finer detail of a thumbnail is noise, and
its peak is blurred over neighbouring pixels, which tells shifts of less than one."""


class Shift(NamedTuple):
    """Where a view has gone."""

    share: float
    """Length of the shift, as a share of the picture's side."""

    peak: float
    """How well the views agree once shifted: 1 for equal ones, near 0 for different ones."""


class ViewFinder:
    """Compares thumbnails with one view.

    The spectrum of both, under a Hann window, is reduced to its phase, so that neither light nor
    contrast counts: C. D. Kuglin, D. C. Hines, "The phase correlation image alignment method",
    1975.

    Parameters
    ----------
    view : array of shape (THUMBNAIL, THUMBNAIL)
        Grey levels.
    """

    def __init__(self, view: npt.NDArray[np.float32], /) -> None:
        self._view = np.conj(_spectrum(view))

    def shift(self, thumbnail: npt.NDArray[np.float32], /) -> Shift:
        """Find the view in another thumbnail of the same shape."""
        cross = self._view * _spectrum(thumbnail)
        cross *= _LOW_PASS / np.maximum(np.abs(cross), 1e-6)
        surface = np.fft.irfft2(cross, (THUMBNAIL, THUMBNAIL)) / _FULL
        near = np.roll(surface, (_FARTHEST, _FARTHEST), (0, 1))[: _SPAN + 2, : _SPAN + 2]
        row, column = divmod(int(near[1:-1, 1:-1].argmax()), _SPAN)
        rows = row + 1 + _vertex(near[row : row + 3, column + 1]) - _FARTHEST
        columns = column + 1 + _vertex(near[row + 1, column : column + 3]) - _FARTHEST
        return Shift(float(np.hypot(rows, columns)) / THUMBNAIL, float(near[row + 1, column + 1]))


_SPAN: Final = 2 * _FARTHEST - 1
_HANN = np.hanning(THUMBNAIL + 2)[1:-1]
_WINDOW: Final = np.outer(_HANN, _HANN).astype(np.float32)
_LOW_PASS: Final = np.exp(
    -(np.fft.fftfreq(THUMBNAIL)[:, None] ** 2 + np.fft.rfftfreq(THUMBNAIL) ** 2) / (2 * _BAND**2)
)
_FULL: Final = float(np.fft.irfft2(_LOW_PASS, (THUMBNAIL, THUMBNAIL))[0, 0])


def _spectrum(thumbnail: npt.NDArray[np.float32]) -> npt.NDArray[np.complex128]:
    return np.asarray(np.fft.rfft2((thumbnail - thumbnail.mean()) * _WINDOW), np.complex128)


def _vertex(three: npt.NDArray[np.float64]) -> float:
    """Where between -1 and 1 the parabola through three values has its top."""
    left, middle, right = three
    bend = left - 2 * middle + right
    return float((left - right) / (2 * bend)) if bend < 0 else 0.0
