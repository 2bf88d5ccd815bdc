"""The product: a machined plate with bores, a turned boss and a printed label.

No two plates are alike: tone, tint, brushing, oxide, the turned boss's glint, the places of the
bores, the print's place and strength and its serial number differ, each within its tolerance.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from streamline.source.synthetic.surface import Fields, Floats, Images, window

__all__ = ["HEIGHT", "MARGIN", "WIDTH", "Canvas", "Print", "draw_plate", "print_label"]

WIDTH, HEIGHT = 392, 272
"""Size of a plate, px."""

MARGIN = 18
"""Empty border around the plate on its canvas, px: room for its shadow."""

_SHEEN = 13.0
"""Largest difference in brightness between a plate's middle and its side, grey levels."""

_INK = (52.0, 40.0, 34.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Print:
    """How this plate's label was printed."""

    x: float
    y: float
    """Lower left corner of the first line, px of the canvas."""

    ink: float
    """Opacity of the print, 0 … 1."""

    serial: str

    tilt: float = 0.0
    """Degrees by which the print is askew."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Canvas:
    """One plate with `MARGIN` px of nothing around it."""

    colour: Floats
    """Shape ``(h, w, 3)``, BGR, 0 … 255."""

    cover: Floats
    """Shape ``(h, w)``: 1 where there is plate, 0 where the belt shows."""

    bare: Floats
    """The colour as it was before the label was printed."""

    label: Print


def draw_plate(rng: np.random.Generator, fields: Fields) -> Canvas:
    """Draw one plate without defects.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws everything in which this plate differs from the others.
    fields : Fields
        Where its textures are cut from.
    """
    height, width = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
    cover = _outline(height, width)
    shade = (
        rng.uniform(149.0, 167.0)
        + rng.uniform(3.5, 5.5) * window(fields.brushed, height, width, rng)
        + rng.uniform(1.5, 3.0) * window(fields.grain, height, width, rng)
        + rng.uniform(1.5, 3.5) * window(fields.blotch, height, width, rng)
        + _bevel(cover)
    )
    _sheen(shade, rng)
    _pocket(shade)
    _pores(shade, rng)
    _boss(shade, rng)
    _bores(shade, rng)
    tint = np.array([1.012, 1.0, 0.984]) + rng.uniform(-0.014, 0.014, 3)
    colour = np.asarray(shade[:, :, None] * tint.astype(np.float32), np.float32)
    label = _label(rng)
    return Canvas(colour=print_label(colour, label), cover=cover, bare=colour, label=label)


def print_label(colour: Floats, label: Print) -> Floats:
    """Return *colour* with the label printed on it."""
    left, top = round(label.x) - 30, round(label.y) - 45
    ink = np.zeros((130, 170), np.uint8)
    x, y = label.x - left, label.y - top
    _text(ink, "SL-40", (x, y), size=0.9, weight=3)
    _text(ink, label.serial, (x, y + 25), size=0.55, weight=1)
    cv2.rectangle(ink, _fixed(x, y + 35), _fixed(x + 88, y + 39), 255, -1, cv2.LINE_AA, 3)
    if label.tilt:
        turn = cv2.getRotationMatrix2D((x + 44, y + 10), label.tilt, 1.0)
        ink = np.asarray(cv2.warpAffine(ink, turn, ink.shape[::-1]), np.uint8)
    opacity = (cv2.GaussianBlur(ink, (0, 0), 0.5) / np.float32(255 / label.ink))[:, :, None]
    printed = colour.copy()
    place = printed[top : top + ink.shape[0], left : left + ink.shape[1]]
    place += opacity * (np.array(_INK, np.float32) - place)
    return printed


def _outline(height: int, width: int) -> Floats:
    """Return a rectangle with rounded corners and two notches that key it into its nest."""
    mask = np.zeros((height, width), np.uint8)
    left, top, right, bottom = MARGIN, MARGIN, width - MARGIN - 1, height - MARGIN - 1
    rounding = 28
    cv2.rectangle(mask, (left + rounding, top), (right - rounding, bottom), 255, -1)
    cv2.rectangle(mask, (left, top + rounding), (right, bottom - rounding), 255, -1)
    for x in (left + rounding, right - rounding):
        for y in (top + rounding, bottom - rounding):
            cv2.circle(mask, (x, y), rounding, 255, -1, cv2.LINE_AA)
    for y in (top, bottom):
        cv2.circle(mask, (width // 2, y), 13, 0, -1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(mask, (0, 0), 0.6)
    return np.asarray(soft / np.float32(255), np.float32)


def _bevel(cover: Floats) -> Floats:
    """Return the light on the rounded edge: bright towards the lamp, dark away from it."""
    soft = cv2.GaussianBlur(cover, (0, 0), 3.6)
    slope_x = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=3)
    slope_y = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=3)
    return np.asarray(120.0 * (0.55 * slope_x + 0.85 * slope_y), np.float32)


def _sheen(shade: Floats, rng: np.random.Generator) -> None:
    """Let the lamp fall on a plate that lies a little tilted: brighter towards one side."""
    height, width = shade.shape
    along, down = rng.uniform(-_SHEEN, _SHEEN, 2)
    shade += np.linspace(-along, along, width, dtype=np.float32)
    shade += np.linspace(-down, down, height, dtype=np.float32)[:, None]


def _pocket(shade: Floats) -> None:
    """Mill a flat pocket for the label, right of the boss."""
    height, width = shade.shape
    x, y = width // 2 + 48, height // 2 - 64
    pocket = np.zeros((height, width), np.float32)
    cv2.rectangle(pocket, (x, y), (x + 106, y + 128), 1.0, -1)
    soft = cv2.GaussianBlur(pocket, (0, 0), 1.6)
    edge_x = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=3)
    edge_y = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=3)
    shade += 9.0 * soft - 42.0 * (0.5 * edge_x + 0.8 * edge_y)


def _pores(shade: Floats, rng: np.random.Generator) -> None:
    """Leave a few pores and burrs of two or three px, which every casting has and nobody minds."""
    height, width = shade.shape
    for _ in range(int(rng.integers(3, 9))):
        x0 = rng.uniform(2 * MARGIN, width - 2 * MARGIN)
        y0 = rng.uniform(2 * MARGIN, height - 2 * MARGIN)
        part, x, y = _around(shade, x0, y0, 8)
        spread = rng.uniform(1.0, 2.0)
        depth = rng.uniform(45, 95) * (-1 if rng.random() < 0.7 else 0.8)
        part += depth * np.exp(-(x * x + y * y) / np.float32(spread * spread))


def _boss(shade: Floats, rng: np.random.Generator) -> None:
    """Turn a boss with a bore into the left half; its glint lies at another angle every time."""
    height, width = shade.shape
    part, x, y = _around(
        shade, width / 2 - 64 + rng.uniform(-0.9, 0.9), height / 2 + rng.uniform(-0.9, 0.9), 80
    )
    radius = np.sqrt(x * x + y * y)
    angle = np.arctan2(y, x)
    glint = np.cos(2 * (angle - np.float32(rng.uniform(0.2, 1.0)))) ** 3
    rings = np.sin(radius * np.float32(1.4) + np.float32(rng.uniform(0, 6.3)))
    part += _step(66, radius) * (22.0 + 26.0 * glint + 3.5 * rings)
    part += 34.0 * (y + x) / (radius + 1) * _ring(66, radius)
    part += _step(29, radius) * (30.0 + 12.0 * (y + x) / 29 - part)
    part += 60.0 * _ring(30.5, radius)


def _bores(shade: Floats, rng: np.random.Generator) -> None:
    """Drill four bores near the corners, none quite where the drawing has it."""
    height, width = shade.shape
    for side_x in (-1, 1):
        for side_y in (-1, 1):
            x0 = width / 2 + side_x * 160 + rng.uniform(-0.7, 0.7)
            y0 = height / 2 + side_y * 102 + rng.uniform(-0.7, 0.7)
            part, x, y = _around(shade, x0, y0, 22)
            radius = np.sqrt(x * x + y * y)
            part += _step(13.5, radius) * (44.0 + 0.7 * (x + y) - part)
            part += 42.0 * _ring(15.5, radius)


def _around(shade: Floats, x0: float, y0: float, reach: int) -> tuple[Floats, Floats, Floats]:
    """Return a view of the square around a point, and its columns and rows counted from there."""
    left, top = int(x0) - reach, int(y0) - reach
    y, x = np.mgrid[0 : 2 * reach, 0 : 2 * reach].astype(np.float32)
    x += np.float32(left - x0)
    y += np.float32(top - y0)
    return shade[top : top + 2 * reach, left : left + 2 * reach], x, y


def _step(limit: float, radius: Floats) -> Floats:
    """Return 1 within *limit*, 0 outside, smooth over one px."""
    return np.asarray(np.clip(limit - radius + 0.5, 0, 1), np.float32)


def _ring(at: float, radius: Floats) -> Floats:
    """Return a soft ring, 1 on the circle of radius *at*."""
    return np.asarray(np.exp(-(((radius - at) / 1.8) ** 2)), np.float32)


def _label(rng: np.random.Generator) -> Print:
    return Print(
        x=MARGIN + WIDTH / 2 + 57 + rng.uniform(-1.4, 1.4),
        y=MARGIN + HEIGHT / 2 - 16 + rng.uniform(-1.4, 1.4),
        ink=float(rng.uniform(0.78, 0.92)),
        serial=f"No {rng.integers(0, 100_000):05d}",
    )


def _text(ink: Images, text: str, at: tuple[float, float], *, size: float, weight: int) -> None:
    where = (round(at[0]), round(at[1]))
    cv2.putText(ink, text, where, cv2.FONT_HERSHEY_SIMPLEX, size, 255, weight, cv2.LINE_AA)


def _fixed(x: float, y: float) -> tuple[int, int]:
    """Return a point in OpenCV's fixed-point notation of three fractional bits."""
    return round(x * 8), round(y * 8)
