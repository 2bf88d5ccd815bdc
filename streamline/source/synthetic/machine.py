"""The machine that all clips share: belt, rails, lens, sensor."""

from typing import NamedTuple

import cv2
import numpy as np

from streamline.source.synthetic.surface import Fields, Floats, Images, make_fields, window

__all__ = ["BORDER", "BRIGHT", "NOISE_ROOM", "PICTURE", "PITCH", "RAIL_END", "Machine", "build"]

PICTURE = (360, 640)
"""Height and width of a frame, px."""

BORDER = 8
"""What is drawn beyond the picture on every side, px: room for the camera to shake."""

PITCH = 960
"""Distance between parts on the belt, px; no more than one is ever wholly in the picture."""

RAIL_END = 62
"""How far a rail and its shadow reach, px from the border's edge."""

BRIGHT = 220
"""Value of the vignette where the picture is as bright as the object."""

NOISE_ROOM = (3, 120, 160)
"""How many noises there are, and how far a frame's window of one can move down and along, px."""

_SEED = 40
_RAIL = 34


class Machine(NamedTuple):
    """What stays the same, whichever parts pass."""

    belt: Images
    """Two pitches of it."""

    rails: Images
    rails_cover: Floats
    """Opacity of the rails and their shadows."""

    vignette: Images
    """Light that reaches the sensor; `BRIGHT` is all."""

    noise: tuple[Images, ...]
    """Of the sensor, around 128, larger than a frame by `NOISE_ROOM`."""


def build() -> Machine:
    """Build the machine, the same one every time."""
    rng = np.random.default_rng(_SEED)
    fields = make_fields(rng)
    height, width = PICTURE[0] + 2 * BORDER, PICTURE[1] + 2 * BORDER
    rails, cover = _rails(fields, rng, height, width)
    noise = tuple(_noise(rng) for _ in range(NOISE_ROOM[0]))
    return Machine(_belt(fields, rng, height), rails, cover, _vignette(rng), noise)


def _belt(fields: Fields, rng: np.random.Generator, height: int) -> Images:
    """Return two pitches of the belt: dark woven rubber, worn, with raised cleats."""
    y, x = np.mgrid[0:height, 0:PITCH].astype(np.float32)
    shade = 58 + 3.2 * np.sin(x * np.float32(np.pi / 3)) * np.sin(y * np.float32(np.pi / 3))
    seam = np.minimum(1, np.minimum(x, PITCH - x) / 40)
    shade += 4.0 * seam * window(fields.blotch, height, PITCH, rng)
    shade += 2.5 * seam * window(fields.grain, height, PITCH, rng)
    for cleat in (0.2, 0.8):
        across = (x - np.float32(cleat * PITCH)) / 5
        shade += 16 * np.exp(-(across**2)) - 22 * np.exp(-((across - 1.6) ** 2))
    tint = np.array([0.98, 1.06, 0.94], np.float32)
    pitch = np.clip(shade[:, :, None] * tint, 0, 255).astype(np.uint8)
    return np.concatenate([pitch, pitch], axis=1)


def _rails(
    fields: Fields, rng: np.random.Generator, height: int, width: int
) -> tuple[Images, Floats]:
    """Return the machine's side rails with their screws, and their opacity."""
    shade = 118 + 6 * window(fields.brushed, height, width, rng)
    shade = shade + 3 * window(fields.blotch, height, width, rng)
    cover = np.zeros((height, width), np.float32)
    cover[:_RAIL] = cover[-_RAIL:] = 1
    edge = cv2.Sobel(cv2.GaussianBlur(cover, (0, 0), 2), cv2.CV_32F, 0, 1, ksize=3)
    shade = shade - 45 * edge
    colour = np.clip(shade[:, :, None] * np.array([1.03, 1.0, 0.97]), 0, 255).astype(np.uint8)
    for x in range(70 + int(rng.integers(0, 60)), width, 170):
        for y in (_RAIL // 2 + 3, height - _RAIL // 2 - 3):
            _screw(colour, x, y, rng.uniform(0, np.pi))
    shadow = np.roll(cv2.GaussianBlur(cover, (0, 0), 5), 7, axis=0) * 0.5
    return np.where(cover[:, :, None] > 0, colour, 8).astype(np.uint8), np.maximum(cover, shadow)


def _screw(colour: Images, x: int, y: int, angle: float) -> None:
    cv2.circle(colour, (x + 1, y + 2), 8, (70, 70, 70), -1, cv2.LINE_AA)
    cv2.circle(colour, (x, y), 8, (165, 163, 160), -1, cv2.LINE_AA)
    cv2.circle(colour, (x, y), 8, (105, 104, 102), 1, cv2.LINE_AA)
    reach = np.array([np.cos(angle), np.sin(angle)]) * 6
    start, end = (np.array([x, y]) - reach).round(), (np.array([x, y]) + reach).round()
    cv2.line(
        colour,
        (int(start[0]), int(start[1])),
        (int(end[0]), int(end[1])),
        (60, 60, 60),
        3,
        cv2.LINE_AA,
    )


def _vignette(rng: np.random.Generator) -> Images:
    """Return the lens's and the lamp's fall-off, `BRIGHT` = as bright as the object."""
    height, width = PICTURE
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x = (x - np.float32(width * rng.uniform(0.44, 0.56))) / width
    y = (y - np.float32(height * rng.uniform(0.42, 0.54))) / width
    fall = 226 * (1 - 0.62 * (x * x + y * y)) + 10 * x
    return np.repeat(np.clip(fall, 0, 255)[:, :, None], 3, axis=2).astype(np.uint8)


def _noise(rng: np.random.Generator) -> Images:
    """Return sensor noise around 128, larger than a frame: a frame takes a window of it."""
    height, width = PICTURE
    noise = rng.standard_normal(
        (height + NOISE_ROOM[1], width + NOISE_ROOM[2], 3), dtype=np.float32
    )
    return np.clip(np.round(128 + 2.6 * noise), 0, 255).astype(np.uint8)
