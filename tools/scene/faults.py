"""Faults of light, lens and camera, made on full-size pictures."""

from collections.abc import Callable
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamline.messages import Fault

__all__ = ["FAULTS", "SLOW", "MadeFault"]

Picture = npt.NDArray[np.uint8]
"""Shape ``(h, w, 3)``, RGB."""


class MadeFault(NamedTuple):
    """One fault."""

    name: str
    change: Callable[[Picture, float], Picture]
    """Makes of a picture what the camera would show so many seconds after the fault began."""

    shows: frozenset[Fault]
    """Checks of which one must find it."""

    freezes: bool = False
    """Whether the first picture with the fault is shown for ever."""


def _as_it_is(picture: Picture, _: float) -> Picture:
    return picture


def _capped(picture: Picture, _: float) -> Picture:
    return np.random.default_rng().integers(0, 9, picture.shape, np.uint8)


def _glaring(picture: Picture, _: float) -> Picture:
    return np.asarray(np.maximum(picture, np.uint8(252)))


def _defocused(picture: Picture, _: float) -> Picture:
    """Blur by half a per cent of the width, standard deviation."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.005 * picture.shape[1]), np.uint8)


def _light(share: float) -> Callable[[Picture, float], Picture]:
    return lambda picture, _: _lit(picture, share)


def _fading(picture: Picture, since_s: float) -> Picture:
    """Lose a per cent of the light every two seconds."""
    return _lit(picture, max(0.0, 1 - 0.005 * since_s))


def _lit(picture: Picture, share: float) -> Picture:
    lit = picture * np.float32(share) + np.float32(0.5)
    return np.asarray(np.clip(lit, 0, 255).astype(np.uint8))


def _moved(share: float) -> Callable[[Picture, float], Picture]:
    def change(picture: Picture, _: float) -> Picture:
        height, width = picture.shape[:2]
        way = np.array([[1, 0, share * width], [0, 1, 0]], np.float32)
        out = cv2.warpAffine(picture, way, (width, height), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(out, np.uint8)

    return change


FAULTS: Final = (
    MadeFault("frozen picture", _as_it_is, frozenset({Fault.FROZEN}), freezes=True),
    MadeFault("lens cap", _capped, frozenset({Fault.BLACK})),
    MadeFault("glare", _glaring, frozenset({Fault.WHITE})),
    MadeFault("out of focus", _defocused, frozenset({Fault.BLUR})),
    MadeFault("light +30 %", _light(1.3), frozenset({Fault.BRIGHTNESS})),
    MadeFault("light -30 %", _light(0.7), frozenset({Fault.BRIGHTNESS})),
    MadeFault("5 % to the right", _moved(0.05), frozenset({Fault.MOVED})),
    MadeFault("5 % to the left", _moved(-0.05), frozenset({Fault.MOVED})),
    MadeFault("light -0.5 % a second", _fading, frozenset({Fault.BRIGHTNESS})),
)

SLOW: Final = FAULTS[-1]
"""What is looked for in scores, too."""
