"""Textures: what metal, belt and print are made of, cut from large fields of noise.

Drawing fresh noise for every part is slow; a window at a random place of a field that is many
times larger looks as unlike its neighbours and costs nothing.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from cv2.typing import MatLike

__all__ = ["Fields", "Floats", "Images", "make_fields", "window"]

Floats = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8]

_SIZE = 1024


class Fields(NamedTuple):
    """Noise of unit variance and zero mean, each of shape ``(1024, 1024)``, float32."""

    grain: Floats
    """Fine, a px or two: castings, paint."""

    brushed: Floats
    """Long along x: rolled or brushed metal."""

    blotch: Floats
    """Coarse, some thirty px: oxide, oil, uneven tone."""

    ragged: Floats
    """Between grain and blotch, some ten px: torn and flowing edges."""


def make_fields(rng: np.random.Generator) -> Fields:
    """Draw the fields one clip cuts its textures from."""
    white = rng.standard_normal((_SIZE, _SIZE), dtype=np.float32)
    middle = rng.standard_normal((_SIZE // 4, _SIZE // 4), dtype=np.float32)
    coarse = rng.standard_normal((_SIZE // 16, _SIZE // 16), dtype=np.float32)
    return Fields(
        grain=_unit(cv2.GaussianBlur(white, (0, 0), 1.2)),
        brushed=_unit(cv2.GaussianBlur(cv2.blur(white[::-1], (91, 1)), (0, 0), 0.7)),
        blotch=_enlarged(cv2.GaussianBlur(coarse, (0, 0), 2.2)),
        ragged=_enlarged(cv2.GaussianBlur(middle, (0, 0), 2.2)),
    )


def window(field: Floats, height: int, width: int, rng: np.random.Generator) -> Floats:
    """Cut a ``(height, width)`` view at a random place of *field*."""
    y = int(rng.integers(0, field.shape[0] - height + 1))
    x = int(rng.integers(0, field.shape[1] - width + 1))
    return field[y : y + height, x : x + width]


def _enlarged(field: MatLike) -> Floats:
    return _unit(cv2.resize(field, (_SIZE, _SIZE), interpolation=cv2.INTER_CUBIC))


def _unit(field: MatLike) -> Floats:
    centred = field - field.mean()
    return np.asarray(centred / centred.std(), np.float32)
