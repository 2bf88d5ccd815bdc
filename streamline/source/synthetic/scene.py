"""The line as the camera sees it: indexed parts on a belt, lamp, vibration, sensor.

An indexing conveyor carries one part into the picture, rests, and carries on. The camera is
triggered by the indexer, so the phases of the motion repeat; the place where a part rests
repeats to a fraction of a px. Everything else moves as it does in a real hall: the machine
shakes the camera, the lamp's light drifts over half a minute and flickers with the mains, the
sensor adds noise, and no two parts are alike.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from streamline.source.synthetic.course import CYCLE, MOVING, Course, plan_course
from streamline.source.synthetic.defects import DefectKind, changed, spoil
from streamline.source.synthetic.machine import (
    BORDER,
    BRIGHT,
    PICTURE,
    PITCH,
    RAIL_END,
    Machine,
    build,
)
from streamline.source.synthetic.plate import MARGIN, WIDTH, draw_plate
from streamline.source.synthetic.surface import Fields, Floats, Images, make_fields
from streamline.source.synthetic.truth import Episode, FrameTruth, Truth

__all__ = ["Clip", "Part", "render"]

Part = Literal["normal", "inspect"]

_PARTS: dict[Part, int] = {"normal": 50, "inspect": 40}
_SHARE = (0.012, 0.022)
"""Range of the defects' area, as a share of the part's area."""


class _Piece(NamedTuple):
    """One part, ready to be laid on the belt."""

    colour: Images
    cover: Floats
    shadow: Images
    defect: npt.NDArray[np.bool_] | None
    kind: DefectKind | None
    area_share: float


class Clip:
    """A rendered clip: iterate for its frames, as often as you like; `truth` tells what they show.

    Frames are BGR, uint8, of shape ``(360, 640, 3)``, new arrays each.
    """

    def __init__(self, machine: Machine, pieces: dict[int, _Piece], course: Course) -> None:
        self._machine, self._pieces, self._course = machine, pieces, course
        self.truth = _truth(pieces, course)

    def __len__(self) -> int:
        return len(self._course.belt_px)

    def __iter__(self) -> Iterator[Images]:
        still, lamp = self._lay(0), self._lamp(0)
        for index in range(len(self)):
            if index % CYCLE == 0:
                lamp = self._lamp(index)
            if index % CYCLE <= MOVING:
                still = self._lay(index)
            yield self._expose(still, lamp, index)

    def _lay(self, index: int) -> Images:
        """Return belt, parts and rails as they lie, with a border of `BORDER` px."""
        cycle = index // CYCLE
        along = float(self._course.belt_px[index])
        scene = _slide(self._machine.belt, along % PITCH)
        for number, at in _in_picture(cycle, along):
            _put(scene, self._pieces[number], at + BORDER, PICTURE[0] / 2 + BORDER)
        for rows in (slice(0, RAIL_END), slice(-RAIL_END, None)):
            rails, cover = self._machine.rails[rows], self._machine.rails_cover[rows]
            scene[rows] = _over(scene[rows], rails, cover)
        return scene

    def _lamp(self, index: int) -> Images:
        """Return the light over the picture, in the lamp's colour at this time."""
        lamp: Floats = self._machine.vignette * self._course.colour[index]
        return np.round(lamp).astype(np.uint8)

    def _expose(self, still: Images, lamp: Images, index: int) -> Images:
        """Return the picture the camera takes of *still*."""
        height, width = PICTURE
        seen = _shaken(still, self._course.shake_px[index])
        lit = cv2.multiply(seen, lamp, scale=float(self._course.light[index]) / BRIGHT)
        which, row, column = self._course.noise[index]
        noise = self._machine.noise[which][row : row + height, column : column + width]
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
    machine = build()
    stream = {"normal": 1, "inspect": 2}[part]
    fields = make_fields(np.random.default_rng([seed, stream, 3]))
    count = _PARTS[part]
    plan = _plan(count, np.random.default_rng([seed, stream, 0])) if part == "inspect" else {}
    # Number -1 is the part before the clip began, which leaves while number 0 enters.
    pieces = {
        number: _piece(fields, [seed, stream, 1, number + 1], plan.get(number), defects=defects)
        for number in range(-1, count)
    }
    return Clip(machine, pieces, plan_course(count, np.random.default_rng([seed, stream, 2])))


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


def _in_picture(cycle: int, along: float) -> Iterator[tuple[int, float]]:
    """Yield the parts in the picture with the place of their middle, px from its left edge."""
    middle = PICTURE[1] / 2
    for number, at in ((cycle, middle - PITCH + along), (cycle - 1, middle + along)):
        if -WIDTH / 2 - MARGIN < at < PICTURE[1] + WIDTH / 2 + MARGIN:
            yield number, at


def _slide(belt: Images, by: float) -> Images:
    """Return the stretch of belt in the picture after it moved to the right by *by* px."""
    width = PICTURE[1] + 2 * BORDER
    whole = int(np.floor(by))
    start = PITCH - whole
    left = belt[:, start - 1 : start - 1 + width]
    return np.asarray(_mixed(belt[:, start : start + width], left, by - whole), np.uint8)


def _shaken(still: Images, shake_px: Floats) -> Images:
    """Return the picture of *still* through a camera displaced by x and y, bilinear."""
    height, width = PICTURE
    x, y = float(shake_px[0]) + BORDER, float(shake_px[1]) + BORDER
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


def _truth(pieces: dict[int, _Piece], course: Course) -> Truth:
    middle, defect = [], []
    seen: dict[int, list[int]] = {}
    for index, (along, shake) in enumerate(zip(course.belt_px, course.shake_px[:, 0], strict=True)):
        cycle = index // CYCLE
        middle.append(cycle if along > PITCH / 2 else cycle - 1)
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
