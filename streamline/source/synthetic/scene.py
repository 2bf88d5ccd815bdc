"""The line as the camera sees it: indexed parts on a belt, lamp, vibration, sensor.

An indexing conveyor carries one part into the picture, rests, and carries on. The camera is
triggered by the indexer, so the phases of the motion repeat; the place where a part rests
repeats to a fraction of a px. Everything else moves as it does in a real hall: the machine
shakes the camera, the lamp's light drifts over half a minute and flickers with the mains, the
sensor adds noise, and no two parts are alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamline.source.synthetic.defects import DefectKind, changed, spoil
from streamline.source.synthetic.plate import MARGIN, WIDTH, draw_plate
from streamline.source.synthetic.surface import Fields, Floats, Images, make_fields, window
from streamline.source.synthetic.truth import Episode, FrameTruth, Truth

__all__ = ["CYCLE", "FPS", "PICTURE", "Clip", "Part", "render"]

FPS = 25
PICTURE = (360, 640)
"""Height and width of a frame, px."""

CYCLE = 12
"""Frames from one part's entry to the next one's."""

Part = Literal["normal", "inspect"]

_MOVING = 3
"""Frames of a cycle in which the belt moves; it rests in the others."""

_PITCH = 960
"""Distance between parts on the belt, px; no more than one is ever wholly in the picture."""

_PARTS: dict[Part, int] = {"normal": 50, "inspect": 40}
_SHARE = (0.012, 0.022)
"""Range of the defects' area, as a share of the part's area."""

_SHAKE_PX = 2.0
_LINE = 40
"""Seeds what all clips share: belt, rails, lens, and the pattern of the sensor's noise."""

_BORDER = 8
_RAIL = 34
_RAIL_END = 62
"""How far a rail and its shadow reach, px from the border's edge."""

_BRIGHT = 220
"""Value of the vignette where the picture is as bright as the object."""


class _Piece(NamedTuple):
    """One part, ready to be laid on the belt."""

    colour: Images
    cover: Floats
    shadow: Images
    defect: npt.NDArray[np.bool_] | None
    kind: DefectKind | None
    area_share: float


class _Hall(NamedTuple):
    """What stays the same for a camera, whichever parts pass."""

    belt: Images
    rails: Images
    rails_cover: Floats
    vignette: Images
    noise: tuple[Images, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Course:
    """How camera, belt and lamp behave over a clip of n frames."""

    belt_px: Floats
    """Shape ``(n,)``: how far the belt has moved since its cycle began."""

    shake_px: Floats
    """Shape ``(n, 2)``: the camera's displacement, x and y."""

    light: Floats
    """Shape ``(n,)``: the lamp's strength, about 1."""

    colour: Floats
    """Shape ``(n, 3)``: the lamp's shares of blue, green, red, about 1 each."""

    noise: npt.NDArray[np.int64]
    """Shape ``(n, 3)``: which noise, and from which row and column of it."""


class Clip:
    """A rendered clip: iterate for its frames, as often as you like; `truth` tells what they show.

    Frames are BGR, uint8, of shape ``(360, 640, 3)``, new arrays each.
    """

    def __init__(self, hall: _Hall, pieces: dict[int, _Piece], course: _Course) -> None:
        self._hall, self._pieces, self._course = hall, pieces, course
        self.truth = _truth(pieces, course)

    def __len__(self) -> int:
        return len(self._course.belt_px)

    def __iter__(self) -> Iterator[Images]:
        still, lamp = self._lay(0), self._lamp(0)
        for index in range(len(self)):
            if index % CYCLE == 0:
                lamp = self._lamp(index)
            if index % CYCLE <= _MOVING:
                still = self._lay(index)
            yield self._expose(still, lamp, index)

    def _lay(self, index: int) -> Images:
        """Return belt, parts and rails as they lie, with a border of `_BORDER` px."""
        cycle = index // CYCLE
        along = float(self._course.belt_px[index])
        scene = _slide(self._hall.belt, along % _PITCH)
        for number, at in _in_picture(cycle, along):
            _put(scene, self._pieces[number], at + _BORDER, PICTURE[0] / 2 + _BORDER)
        for rows in (slice(0, _RAIL_END), slice(-_RAIL_END, None)):
            rails, cover = self._hall.rails[rows], self._hall.rails_cover[rows]
            scene[rows] = _over(scene[rows], rails, cover)
        return scene

    def _lamp(self, index: int) -> Images:
        """Return the light over the picture, in the lamp's colour at this time."""
        lamp: Floats = self._hall.vignette * self._course.colour[index]
        return np.round(lamp).astype(np.uint8)

    def _expose(self, still: Images, lamp: Images, index: int) -> Images:
        """Return the picture the camera takes of *still*."""
        height, width = PICTURE
        seen = _shaken(still, self._course.shake_px[index])
        lit = cv2.multiply(seen, lamp, scale=float(self._course.light[index]) / _BRIGHT)
        which, row, column = self._course.noise[index]
        noise = self._hall.noise[which][row : row + height, column : column + width]
        return np.asarray(cv2.addWeighted(lit, 1.0, noise, 1.0, -128.0), np.uint8)


def render(part: Part, seed: int, *, defects: bool = True) -> Clip:
    """Set a line up and let its camera run.

    Parameters
    ----------
    part : "normal" or "inspect"
        50 parts without defects, to learn from; or 40 others of which some have one.
    seed : int
        Which parts, with which defects, under what light and vibration; the line is the same
        for all seeds, so what was learnt from one seed serves another. The same seed gives the
        same frames.
    defects : bool
        False leaves the defects out and everything else as it is, so that a difference of the
        two clips shows the defects alone.
    """
    hall = _hall(np.random.default_rng(_LINE))
    stream = {"normal": 1, "inspect": 2}[part]
    fields = make_fields(np.random.default_rng([seed, stream, 3]))
    count = _PARTS[part]
    plan = _plan(count, np.random.default_rng([seed, stream, 0])) if part == "inspect" else {}
    # Number -1 is the part before the clip began, which leaves while number 0 enters.
    pieces = {
        number: _piece(fields, [seed, stream, 1, number + 1], plan.get(number), defects=defects)
        for number in range(-1, count)
    }
    return Clip(hall, pieces, _course(count, np.random.default_rng([seed, stream, 2])))


def _plan(count: int, rng: np.random.Generator) -> dict[int, tuple[DefectKind, float]]:
    """Choose which parts are defective: every fourth or so, all kinds, never two in a row."""
    kinds = list(DefectKind)
    kinds += [kinds[int(i)] for i in rng.permutation(len(kinds))[:3]]
    order = rng.permutation(len(kinds))
    slots = np.linspace(2, count, len(kinds) + 1)[:-1]
    numbers = [int(slot + rng.integers(0, 2)) for slot in slots]
    return {
        number: (kinds[int(i)], float(rng.uniform(*_SHARE)))
        for number, i in zip(numbers, order, strict=True)
    }


def _piece(
    fields: Fields, key: list[int], fault: tuple[DefectKind, float] | None, *, defects: bool
) -> _Piece:
    canvas = draw_plate(np.random.default_rng([*key, 0]), fields)
    where, kind, area_share = None, None, 0.0
    if fault is not None:
        kind, share = fault
        spoilt = spoil(canvas, kind, share, np.random.default_rng([*key, 1]), fields)
        where = changed(canvas, spoilt)
        area_share = float(where.sum() / canvas.cover.sum())
        canvas = spoilt if defects else canvas
    colour = np.clip(canvas.colour, 0, 255).astype(np.uint8)
    return _Piece(colour, canvas.cover, _shadow(canvas.cover), where, kind, area_share)


def _shadow(cover: Floats) -> Images:
    """Return what the part's shadow leaves of the light on the belt, 255 = all, three channels."""
    dark = np.roll(cv2.GaussianBlur(cover, (0, 0), 4.0), (5, 4), (0, 1))
    return np.repeat(np.round(255 * (1 - 0.55 * dark))[:, :, None], 3, axis=2).astype(np.uint8)


def _hall(rng: np.random.Generator) -> _Hall:
    fields = make_fields(rng)
    height, width = PICTURE[0] + 2 * _BORDER, PICTURE[1] + 2 * _BORDER
    rails, cover = _rails(fields, rng, height, width)
    noise = tuple(_noise(rng) for _ in range(3))
    return _Hall(_belt(fields, rng, height), rails, cover, _vignette(rng), noise)


def _belt(fields: Fields, rng: np.random.Generator, height: int) -> Images:
    """Return two pitches of the belt: dark woven rubber, worn, with raised cleats."""
    y, x = np.mgrid[0:height, 0:_PITCH].astype(np.float32)
    shade = 58 + 3.2 * np.sin(x * np.float32(np.pi / 3)) * np.sin(y * np.float32(np.pi / 3))
    seam = np.minimum(1, np.minimum(x, _PITCH - x) / 40)
    shade += 4.0 * seam * window(fields.blotch, height, _PITCH, rng)
    shade += 2.5 * seam * window(fields.grain, height, _PITCH, rng)
    for cleat in (0.2, 0.8):
        across = (x - np.float32(cleat * _PITCH)) / 5
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
    """Return the lens's and the lamp's fall-off, `_BRIGHT` = as bright as the object."""
    height, width = PICTURE
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x = (x - np.float32(width * rng.uniform(0.44, 0.56))) / width
    y = (y - np.float32(height * rng.uniform(0.42, 0.54))) / width
    fall = 226 * (1 - 0.62 * (x * x + y * y)) + 10 * x
    return np.repeat(np.clip(fall, 0, 255)[:, :, None], 3, axis=2).astype(np.uint8)


def _noise(rng: np.random.Generator) -> Images:
    """Return sensor noise around 128, larger than a frame: a frame takes a window of it."""
    height, width = PICTURE
    noise = rng.standard_normal((height + 120, width + 160, 3), dtype=np.float32)
    return np.clip(np.round(128 + 2.6 * noise), 0, 255).astype(np.uint8)


def _course(count: int, rng: np.random.Generator) -> _Course:
    frames = count * CYCLE
    phase = np.arange(frames) % CYCLE
    # The indexer is off its place, and nearly at the next, between two frames.
    step = np.where(phase < _MOVING, (phase + 2) / (_MOVING + 3), 1)
    smooth = step * step * (3 - 2 * step)
    rest = np.repeat(rng.uniform(-0.6, 0.6, count), CYCLE)
    belt = _PITCH * smooth + np.where(phase < _MOVING, rng.uniform(-0.4, 0.4, frames), rest)
    noise = np.stack([rng.integers(0, limit, frames) for limit in (3, 120, 160)], axis=1)
    return _Course(
        belt_px=belt.astype(np.float32),
        shake_px=_shake(frames, phase, rng),
        light=_light(frames, rng),
        colour=_colour(frames, rng),
        noise=noise,
    )


def _shake(frames: int, phase: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Return vibration: two rotating parts, a random share, and a jolt when the belt stops."""
    time = np.arange(frames) / FPS
    shake = np.empty((frames, 2))
    for axis in range(2):
        tones = sum(
            strength * np.sin(2 * np.pi * hertz * time + rng.uniform(0, 6.3))
            for strength, hertz in ((0.45, 7.3), (0.3, 11.1))
        )
        shake[:, axis] = tones + rng.normal(0, 0.2, frames)
    jolt = np.where(phase >= _MOVING, np.exp(-(phase - _MOVING) / 1.5), 0)
    shake[:, 0] += jolt * rng.uniform(0.3, 1.0, frames)
    return np.clip(shake, -_SHAKE_PX, _SHAKE_PX).astype(np.float32)


def _light(frames: int, rng: np.random.Generator) -> Floats:
    """Return the lamp's strength: a slow drift, and what the camera's rate leaves of the mains."""
    time = np.arange(frames) / FPS
    drift = 0.05 * np.sin(2 * np.pi * time / 17 + rng.uniform(0, 6.3))
    flicker = 0.012 * np.sin(2 * np.pi * 1.7 * time) + rng.normal(0, 0.005, frames)
    return np.asarray(1 + drift + flicker, np.float32)


def _colour(frames: int, rng: np.random.Generator) -> Floats:
    """Return the lamp's colour, drifting between cold and warm."""
    time = np.arange(frames) / FPS
    warmth = 0.012 * np.sin(2 * np.pi * time / 11 + rng.uniform(0, 6.3))
    return np.stack([1 - warmth, np.ones(frames), 1 + warmth], axis=1).astype(np.float32)


def _in_picture(cycle: int, along: float) -> Iterator[tuple[int, float]]:
    """Yield the parts in the picture with the place of their middle, px from its left edge."""
    middle = PICTURE[1] / 2
    for number, at in ((cycle, middle - _PITCH + along), (cycle - 1, middle + along)):
        if -WIDTH / 2 - MARGIN < at < PICTURE[1] + WIDTH / 2 + MARGIN:
            yield number, at


def _slide(belt: Images, by: float) -> Images:
    """Return the stretch of belt in the picture after it moved to the right by *by* px."""
    width = PICTURE[1] + 2 * _BORDER
    whole = int(np.floor(by))
    start = _PITCH - whole
    left = belt[:, start - 1 : start - 1 + width]
    return np.asarray(_mixed(belt[:, start : start + width], left, by - whole), np.uint8)


def _shaken(still: Images, shake_px: Floats) -> Images:
    """Return the picture of *still* through a camera displaced by x and y, bilinear."""
    height, width = PICTURE
    x, y = float(shake_px[0]) + _BORDER, float(shake_px[1]) + _BORDER
    column, row = int(x), int(y)
    lines = still[row : row + height + 1, column : column + width + 1]
    across = _mixed(lines[:, :-1], lines[:, 1:], x - column)
    return _mixed(across[:-1], across[1:], y - row)


def _mixed(first: Images, second: Images, share: float) -> Images:
    """Return the mean of two pictures with *share* of the second."""
    return np.asarray(cv2.addWeighted(first, 1 - share, second, share, 0.0), np.uint8)


def _put(scene: Images, piece: _Piece, x: float, y: float) -> None:
    """Lay *piece* and its shadow with its middle at *x*, *y*."""
    height, width = piece.cover.shape
    left, row = x - width / 2, round(y - height / 2)
    column = int(np.floor(left))
    start, end = max(0, -column), min(width - 1, scene.shape[1] - column)
    if start >= end:
        return
    region = scene[row : row + height, column + start : column + end]
    here, before = slice(start + 1, end + 1), slice(start, end)
    shift = left - column
    region[:] = cv2.multiply(region, piece.shadow[:, here], scale=1 / 255)
    layer = _mixed(piece.colour[:, here], piece.colour[:, before], shift)
    cover = cv2.addWeighted(piece.cover[:, here], 1 - shift, piece.cover[:, before], shift, 0.0)
    region[:] = _over(region, layer, np.asarray(cover, np.float32))


def _over(below: Images, above: Images, cover: Floats) -> Images:
    """Blend *above* over *below* with the opacity *cover*."""
    return np.asarray(cv2.blendLinear(above, below, cover, 1 - cover), np.uint8)


def _truth(pieces: dict[int, _Piece], course: _Course) -> Truth:
    middle, defect = [], []
    seen: dict[int, list[int]] = {}
    for index, (along, shake) in enumerate(zip(course.belt_px, course.shake_px[:, 0], strict=True)):
        cycle = index // CYCLE
        middle.append(cycle if along > _PITCH / 2 else cycle - 1)
        showing = [
            number
            for number, at in _in_picture(cycle, float(along))
            if _defect_in_picture(pieces[number], at - float(shake))
        ]
        for number in showing:
            seen.setdefault(number, []).append(index)
        defect.append(pieces[showing[0]].kind if showing else None)
    return Truth(
        frames=tuple(FrameTruth(part=p, defect=d) for p, d in zip(middle, defect, strict=True)),
        episodes=tuple(_episode(number, pieces[number], at) for number, at in seen.items()),
    )


def _defect_in_picture(piece: _Piece, at: float) -> bool:
    if piece.defect is None:
        return False
    columns = np.flatnonzero(piece.defect.any(axis=0)) + at - piece.defect.shape[1] / 2
    return bool(((columns >= 0) & (columns < PICTURE[1])).any())


def _episode(number: int, piece: _Piece, frames: list[int]) -> Episode:
    if piece.kind is None:
        msg = f"part {number} has no defect"
        raise ValueError(msg)
    return Episode(
        part=number,
        kind=piece.kind,
        first=frames[0],
        last=frames[-1],
        area_share=piece.area_share,
    )
