"""Defects: what goes wrong with a plate, drawn into its canvas.

Every kind draws itself at a size; `spoil` enlarges it until it changes the share of the plate's
area that was asked for, measured on pixels.
"""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

from streamline.source.synthetic.plate import HEIGHT, MARGIN, WIDTH, Canvas, print_label
from streamline.source.synthetic.surface import Fields, Floats, window

__all__ = ["DefectKind", "changed", "spoil"]

_NOTICED = 10.0
"""A pixel counts as changed when its colour moves by more than this many grey levels."""

Mask = npt.NDArray[np.bool_]


class DefectKind(StrEnum):
    """What is wrong with a plate."""

    SCRATCH = "scratch"
    STAIN = "stain"
    CHIP = "chip"
    MISPRINT = "misprint"
    FOREIGN_BODY = "foreign body"
    CRACK = "crack"


def spoil(
    canvas: Canvas, kind: DefectKind, share: float, rng: np.random.Generator, fields: Fields
) -> Canvas:
    """Return a copy of *canvas* with a defect that changes about *share* of the plate's area.

    The size is found by bisection; every trial is drawn from the same random numbers, so that
    only the size differs between them. The share reached is at least *share*, unless the kind
    can't grow so large.
    """
    state = rng.bit_generator.state
    target = share * float(canvas.cover.sum())
    small, large = 0.3, 12.0
    spoilt = _DRAW[kind](canvas, large, rng, fields)
    for _ in range(6):
        size = float(np.sqrt(small * large))
        rng.bit_generator.state = state
        trial = _DRAW[kind](canvas, size, rng, fields)
        if changed(canvas, trial).sum() < target:
            small = size
        else:
            large, spoilt = size, trial
    return spoilt


def changed(canvas: Canvas, spoilt: Canvas) -> Mask:
    """Return where two canvases differ so that one can see it, shape ``(h, w)``."""
    shift = np.abs(canvas.colour - spoilt.colour).max(axis=2)
    return np.asarray(
        (shift > _NOTICED) & (canvas.cover > 0.5) | (canvas.cover - spoilt.cover > 0.5)
    )


def _scratch(canvas: Canvas, size: float, rng: np.random.Generator, _: Fields) -> Canvas:
    """Draw a bright groove with a dark flank, bent a little."""
    x, y = _place(rng, 80)
    angle = rng.uniform(0, np.pi)
    length = 90 * size**0.7
    along = np.linspace(-0.5, 0.5, 24) * length
    bend = rng.uniform(-0.12, 0.12) * length * (4 * (along / length) ** 2 - 1)
    points = np.stack(
        [
            x + along * np.cos(angle) - bend * np.sin(angle),
            y + along * np.sin(angle) + bend * np.cos(angle),
        ],
        axis=1,
    )
    width = 2 + (size > 2) + (size > 5)
    groove = _lines(canvas, points, width)
    flank = _lines(canvas, points + width, width)
    light = rng.uniform(50, 62)
    return _lit(canvas, light * groove - 0.8 * light * np.clip(flank - groove, 0, 1))


def _stain(canvas: Canvas, size: float, rng: np.random.Generator, fields: Fields) -> Canvas:
    """Spill something brown and thin, with splashes: the metal still shows through."""
    x, y = _place(rng, 50)
    blob = _blob(canvas, (x, y), 14 * size, rng, fields)
    for angle, far in zip(rng.uniform(0, 2 * np.pi, 6), rng.uniform(1.4, 2.4, 6), strict=True):
        reach = 14 * size * far
        drop = (x + reach * np.cos(angle), y + reach * np.sin(angle))
        blob = np.maximum(blob, _disc(canvas, drop, 2.2 + 2.4 * size * rng.random()))
    depth = rng.uniform(0.42, 0.50)
    # It dries from the middle: the rim is darkest.
    thick = depth * (0.75 * blob + 1.6 * blob * (1 - blob))
    keep = 1 - thick[:, :, None] * np.array([1.25, 1.0, 0.8], np.float32)
    return replace(canvas, colour=np.asarray(canvas.colour * keep, np.float32))


def _chip(canvas: Canvas, size: float, rng: np.random.Generator, fields: Fields) -> Canvas:
    """Break a piece off the edge; the fresh break is bright."""
    along, far = rng.uniform(0.2, 0.8), float(rng.integers(0, 2))
    if rng.random() < 0.5:
        centre = (MARGIN + far * WIDTH, MARGIN + along * HEIGHT)
    else:
        centre = (MARGIN + (0.14 + 0.2 * along) * WIDTH, MARGIN + far * HEIGHT)
    gone = _blob(canvas, centre, 15 * size, rng, fields)
    gone = np.clip((gone - 0.5) * 4 + 0.5, 0, 1)
    rim = cv2.GaussianBlur(gone, (0, 0), 2.0) * (1 - gone)
    bright = _lit(canvas, 70 * rim)
    return replace(bright, cover=np.asarray(canvas.cover * (1 - gone), np.float32))


def _misprint(canvas: Canvas, size: float, rng: np.random.Generator, _: Fields) -> Canvas:
    """Print the label askew, and a second time beside it, as a slipping pad does."""
    sign = 1.0 if rng.random() < 0.5 else -1.0
    slip = 0.6 + min(size, 1.4)
    label = replace(canvas.label, tilt=sign * 8 * slip**0.5, y=canvas.label.y + 3 * slip)
    ghost = replace(label, tilt=-sign * 12 * slip**0.5, y=label.y + 16 + 4 * slip, ink=0.9)
    return replace(canvas, colour=print_label(print_label(canvas.bare, label), ghost))


def _foreign_body(canvas: Canvas, size: float, rng: np.random.Generator, _: Fields) -> Canvas:
    """Drop a curl of swarf or a shred of film on the plate."""
    x, y = _place(rng, 60)
    turn = np.linspace(0, rng.uniform(3.0, 5.5), 40) + rng.uniform(0, 6.3)
    reach = np.linspace(10, 17, 40) * size**0.6
    points = np.stack([x + reach * np.cos(turn), y + 0.7 * reach * np.sin(turn)], axis=1)
    width = max(2, round(3.4 * size**0.6))
    body = _lines(canvas, points, width)[:, :, None]
    shadow = cv2.GaussianBlur(_lines(canvas, points + 3.2, width), (0, 0), 1.7)
    hue = np.array([[70, 105, 150], [150, 120, 70], [72, 76, 80]], np.float32)[rng.integers(0, 3)]
    colour = canvas.colour * (1 - 0.45 * shadow[:, :, None])
    return replace(canvas, colour=np.asarray(colour + body * (hue - colour), np.float32))


def _crack(canvas: Canvas, size: float, rng: np.random.Generator, _: Fields) -> Canvas:
    """Let the plate crack: a dark jagged line that forks, across its middle."""
    x, y = _place(rng, 60)
    middle = np.array([MARGIN + WIDTH / 2, MARGIN + HEIGHT / 2])
    heading = np.arctan2(middle[1] - y, middle[0] - x)
    dark = np.zeros(canvas.cover.shape, np.float32)
    start = np.array([x, y])
    width = 2 + (size > 1.3) + (size > 2)
    for fork, count in ((0.0, 30), (0.7, 14), (-0.6, 14)):
        turns = heading + fork + rng.normal(0, 0.6, count)
        steps = 5.0 * min(size, 2.0) ** 0.7 * np.stack([np.cos(turns), np.sin(turns)], axis=1)
        points = start + np.cumsum(steps, axis=0)
        dark = np.maximum(dark, _lines(canvas, points, width))
        start = points[count // 3]
    return _lit(canvas, -rng.uniform(52, 62) * dark)


_DRAW: dict[DefectKind, Callable[[Canvas, float, np.random.Generator, Fields], Canvas]] = {
    DefectKind.SCRATCH: _scratch,
    DefectKind.STAIN: _stain,
    DefectKind.CHIP: _chip,
    DefectKind.MISPRINT: _misprint,
    DefectKind.FOREIGN_BODY: _foreign_body,
    DefectKind.CRACK: _crack,
}


def _place(rng: np.random.Generator, clear: int) -> tuple[float, float]:
    """Pick a point on the plate at least *clear* px from its edges."""
    x = MARGIN + rng.uniform(clear, WIDTH - clear)
    y = MARGIN + rng.uniform(clear, HEIGHT - clear)
    return x, y


def _lines(canvas: Canvas, points: npt.NDArray[np.floating], width: int) -> Floats:
    """Return the opacity of a polyline of *width* px."""
    mask = np.zeros(canvas.cover.shape, np.uint8)
    fixed = np.round(points * 8).astype(np.int32)
    cv2.polylines(mask, [fixed], False, 255, width, cv2.LINE_AA, 3)  # noqa: FBT003 - positional in C
    return np.asarray(mask / np.float32(255), np.float32)


def _blob(
    canvas: Canvas,
    centre: tuple[float, float],
    radius: float,
    rng: np.random.Generator,
    fields: Fields,
) -> Floats:
    """Return the opacity of a patch with a ragged edge."""
    height, width = canvas.cover.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot(columns - np.float32(centre[0]), rows - np.float32(centre[1]))
    torn = 0.18 * window(fields.blotch, height, width, rng)
    torn = torn + 0.05 * window(fields.ragged, height, width, rng)
    return np.asarray(np.clip((radius * (1 + torn) - distance) / 4 + 0.5, 0, 1), np.float32)


def _disc(canvas: Canvas, centre: tuple[float, float], radius: float) -> Floats:
    """Return the opacity of a round drop."""
    mask = np.zeros(canvas.cover.shape, np.uint8)
    at = (round(centre[0] * 8), round(centre[1] * 8))
    cv2.circle(mask, at, round(radius * 8), 255, -1, cv2.LINE_AA, 3)
    return np.asarray(mask / np.float32(255), np.float32)


def _lit(canvas: Canvas, light: npt.NDArray[np.floating]) -> Canvas:
    """Return *canvas* lit by *light* more, grey levels on bright metal, none down a bore."""
    surface = np.clip(canvas.colour.mean(axis=2, keepdims=True) / 60 - 1, 0, 1)
    gain = 1 + surface * np.asarray(light, np.float32)[:, :, None] / np.float32(158)
    return replace(canvas, colour=np.asarray(canvas.colour * gain, np.float32))
