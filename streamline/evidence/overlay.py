"""What an operator sees of an alert: the picture, where it is odd, and how odd."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from streamline.colour import to_rgb
from streamline.messages import Picture

__all__ = ["heat_over", "overlay"]

Bytes = npt.NDArray[np.uint8]

_STRONGEST: Final = 0.65
"""Weight of the heat's colour where it is greatest: the part must stay recognisable."""


def overlay(
    picture: Picture,
    heat: npt.NDArray[np.floating] | None,
    *,
    score: float,
    threshold: float,
    roi: tuple[int, int, int, int] | None = None,
) -> Bytes:
    """Draw an anomaly map and the score over a picture.

    The map is brought to the size of its region by linear interpolation. Its colours run from
    its own median (no colour) to its own maximum: they show where, the text shows how much.

    Parameters
    ----------
    picture : Picture
        Not modified.
    heat : array of shape (mh, mw), optional
        Anomaly map, >= 0; without one, or with one that is the same everywhere or not finite,
        only the text is drawn.
    score, threshold : float
        Written into the upper left corner.
    roi : (x, y, w, h), optional
        The part of the picture that the map covers, px.

    Returns
    -------
    array of shape (height, width, 3)
        RGB, new.
    """
    rgb = to_rgb(picture)
    if heat is not None:
        x, y, w, h = roi or (0, 0, picture.width, picture.height)
        region = rgb[y : y + h, x : x + w]
        region[:] = heat_over(region, heat.astype(np.float32))
    _write(rgb, f"score {score:.4g}  threshold {threshold:.4g}")
    return rgb


def heat_over(rgb: Bytes, heat: npt.NDArray[np.float32], /) -> Bytes:
    """Blend an anomaly map's colours into a picture; without text.

    Parameters
    ----------
    rgb : array of shape (height, width, 3)
        Not modified.
    heat : array of shape (mh, mw)
        As for `overlay`.

    Returns
    -------
    array of shape (height, width, 3)
        `rgb` itself where the map shows nothing.
    """
    floor, peak = float(np.median(heat)), float(heat.max())
    if not (np.isfinite(heat).all() and peak > floor):
        return rgb
    height, width = rgb.shape[:2]
    size = (width, height)
    strength = np.clip((heat - floor) / (peak - floor), 0, 1)
    strength = cv2.resize(strength, size, interpolation=cv2.INTER_LINEAR)
    # Turbo's lower half is blue and green, which reads as "cold" at any strength.
    levels = np.rint(127 + 128 * strength).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    weight = _STRONGEST * strength
    return np.asarray(cv2.blendLinear(colours, np.ascontiguousarray(rgb), weight, 1 - weight))


def _write(rgb: Bytes, text: str) -> None:
    """Write into the upper left corner, white on a black ground."""
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, max(0.5, rgb.shape[0] / 900)
    thickness = max(1, round(2 * scale))
    (width, height), below = cv2.getTextSize(text, font, scale, thickness)
    margin = round(8 * scale)
    cv2.rectangle(
        rgb, (0, 0), (width + 2 * margin, height + below + 2 * margin), (0, 0, 0), cv2.FILLED
    )
    origin = (margin, height + margin)
    cv2.putText(rgb, text, origin, font, scale, (255, 255, 255), thickness, cv2.LINE_AA)
