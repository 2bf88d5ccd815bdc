"""The checks of one camera's scene, fed with its prepared frames."""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from streamline.messages import Fault
from streamline.scene.look import Look, look_at
from streamline.scene.reference import Range, ReferenceBuilder, SceneReference
from streamline.scene.shift import ViewFinder

__all__ = ["LEARN_S", "Findings", "SceneWatch"]

LEARN_S: Final = 60.0
"""How long a camera without a reference is taken to be well while one is made, s."""

_LOOK_S: Final = 0.4
"""Time between two looks in the mean, s: that shows all that changes slowly."""

_GOLDEN: Final = (math.sqrt(5) - 1) / 2
"""Looks come by the fractions of its multiples, after half to one and a half of the mean time: at
equal times they would show a line that goes at a beat always at the same point of it."""

_AVERAGE_S: Final = 5.0
"""Time constant of the running means, s: a product in passing is no change of the scene."""

_SETTLED: Final = 12
"""Looks before a running mean is worth anything."""

_VIEW_LOOKS: Final = 5
"""The view, which takes as long as the other figures together, is compared at each of so many."""

_FEWEST_REPEATS: Final = 5
_ROWS: Final = 8
"""Each of so many rows is compared with the frame before: noise changes every one of them."""

_STEP: Final = 32
"""Each of so many bytes of them is a sample: of all channels in turn."""

_BLACK: Final = 24
_WHITE: Final = 231
_STRAY: Final = 1 / 64
"""A frame is black, or white, if less than this share of its samples is above the first, or below
the second: pixels of a covered sensor that shine by themselves don't light it."""

_MARGIN: Final = {Fault.BRIGHTNESS: 0.07, Fault.CONTRAST: 0.2, Fault.BLUR: 0.25, Fault.MOVED: 0.03}
"""How far beyond its range of reference a figure is a fault, as a share of it, and where that is
more by as much as the range is wide; of the view the share of the picture's side."""

_RELIEF: Final = 0.8
"""A fault is over when the figure is back within this much of the margin."""

_ALIKE: Final = 0.2
"""A view that agrees less than this with that of reference is another one altogether."""


class Findings(NamedTuple):
    """What one frame shows, and what the latest look has."""

    faults: tuple[Fault, ...]
    """What is wrong now, worst first; empty if all is well."""

    looked: bool
    """Whether the figures are new."""


class SceneWatch:
    """Tells what is wrong with a camera's pictures.

    Frozen, black and white are properties of frames and told at once.  Light, lens and view
    change slowly, and are told from means over seconds, so that products don't count.

    Parameters
    ----------
    reference : SceneReference, optional
        What is normal; None: what the first `LEARN_S` seconds show, black, white and frozen
        frames left out.
    frozen_s : float
        For how long frames must be identical to be frozen, s.
    """

    def __init__(self, reference: SceneReference | None, *, frozen_s: float) -> None:
        self._frozen_s = frozen_s
        self._before = b""
        self._same_since_s = 0.0
        self._repeats = 0
        self._looked_s: float | None = None
        self._looks = 0
        self._began_s: float | None = None
        self._builder = ReferenceBuilder()
        self._reference: SceneReference | None = None
        self._finder: ViewFinder
        self._black, self._white = _BLACK, _WHITE
        self._means = _Means()
        self._slow: dict[Fault, bool] = dict.fromkeys(_MARGIN, False)
        self.levels: dict[Fault, float] = {}
        """Each figure's running mean over the middle of its range of reference; of the view how
        far it has moved, as a share of the picture's side.  By the fault that it would show."""

        if reference is not None:
            self._adopt(reference)

    @property
    def learns(self) -> bool:
        """Whether it is still to see what is normal."""
        return self._reference is None

    def see(self, pixels: npt.NDArray[np.uint8], moment_s: float, /) -> Findings:
        """Look at the next frame.

        Parameters
        ----------
        pixels : array of shape (h, w, 3)
            Prepared, RGB; not modified, and not kept.
        moment_s : float
            Its time on any clock that goes at the camera's pace, s.
        """
        # For every frame bytes, not arrays: after others have had the processor, each path through
        # a library costs more than what it computes.
        rows = pixels[::_ROWS].tobytes()
        sudden = [*self._exposure(rows[::_STEP]), *self._frozen(rows, moment_s)]
        looks = not sudden and self._is_time(moment_s)
        if looks:
            self._look(look_at(pixels), moment_s)
        slow = (fault for fault, on in self._slow.items() if on)
        return Findings((*sudden, *slow), looks)

    def _exposure(self, samples: bytes) -> list[Fault]:
        level, few = sum(samples) / len(samples), len(samples) * _STRAY
        # Else too many samples are beyond, whichever they are.
        if level <= self._black + 256 * _STRAY and _count_above(samples, self._black) < few:
            return [Fault.BLACK]
        if level < self._white - 256 * _STRAY:
            return []
        return [Fault.WHITE] if len(samples) - _count_above(samples, self._white) < few else []

    def _frozen(self, rows: bytes, moment_s: float) -> list[Fault]:
        if rows != self._before:
            self._before, self._same_since_s, self._repeats = rows, moment_s, 0
            return []
        self._repeats += 1
        lasted = moment_s - self._same_since_s >= self._frozen_s
        return [Fault.FROZEN] if lasted and self._repeats >= _FEWEST_REPEATS else []

    def _is_time(self, moment_s: float) -> bool:
        # A clock that goes back is a file that begins anew.
        since_s = None if self._looked_s is None else moment_s - self._looked_s
        pause_s = _LOOK_S * (0.5 + self._looks * _GOLDEN % 1)
        return since_s is None or since_s >= pause_s or since_s < 0

    def _look(self, look: Look, moment_s: float) -> None:
        since_s = 0.0 if self._looked_s is None else moment_s - self._looked_s
        self._looked_s = moment_s
        self._looks += 1
        if self._reference is None:
            self._learn(look, moment_s)
            return
        means = self._means
        means.add(look, (since_s if 0 < since_s < _AVERAGE_S else _LOOK_S) / _AVERAGE_S)
        if means.looks < _SETTLED:
            return
        reference = self._reference
        self._compare(Fault.BRIGHTNESS, means.brightness, reference.brightness)
        self._compare(Fault.CONTRAST, means.contrast, reference.contrast)
        self._compare(Fault.BLUR, means.sharpness, reference.sharpness)
        if reference.has_view and means.looks % _VIEW_LOOKS == 0:
            self._compare_view(means.thumbnail)

    def _learn(self, look: Look, moment_s: float) -> None:
        if self._began_s is None or moment_s < self._began_s:
            self._began_s = moment_s
        self._builder.add_look(look)
        if moment_s - self._began_s >= LEARN_S and self._builder.looks >= _SETTLED:
            self._adopt(self._builder.finish())

    def _adopt(self, reference: SceneReference) -> None:
        self._reference = reference
        # A scene that is dark by nature is not covered until it is much darker.
        self._black = min(_BLACK, round(reference.brightness.low / 2))
        self._white = max(_WHITE, round((reference.brightness.high + 255) / 2))
        self._finder = ViewFinder(reference.thumbnail.astype(np.float32))

    def _compare(self, fault: Fault, value: float, normal: Range) -> None:
        relief = _RELIEF if self._slow[fault] else 1.0
        margin, width = relief * _MARGIN[fault], relief * (normal.high - normal.low)
        low = normal.low - max(margin * normal.low, width)
        high = normal.high + max(margin * normal.high, width)
        # More sharpness than before is nobody's worry.
        self._slow[fault] = value < low or (value > high and fault is not Fault.BLUR)
        self.levels[fault] = value / max((normal.low + normal.high) / 2, 1e-6)

    def _compare_view(self, thumbnail: npt.NDArray[np.float32]) -> None:
        margin = _MARGIN[Fault.MOVED] * (_RELIEF if self._slow[Fault.MOVED] else 1)
        shift = self._finder.shift(thumbnail)
        self._slow[Fault.MOVED] = shift.share > margin or shift.peak < _ALIKE
        self.levels[Fault.MOVED] = shift.share


class _Means:
    """Running means of what looks show."""

    def __init__(self) -> None:
        self.looks = 0
        self.brightness = self.contrast = self.sharpness = 0.0
        self.thumbnail = np.zeros((0, 0), np.float32)

    def add(self, look: Look, weight: float) -> None:
        """Take a look into the means with this weight; the first ones equally."""
        self.looks += 1
        share = max(weight, 1 / self.looks)
        if self.looks == 1:
            self.thumbnail = look.thumbnail.copy()
        self.brightness += share * (look.brightness - self.brightness)
        self.contrast += share * (look.contrast - self.contrast)
        self.sharpness += share * (look.sharpness - self.sharpness)
        self.thumbnail += np.float32(share) * (look.thumbnail - self.thumbnail)


def _count_above(samples: bytes, level: int) -> int:
    return sum(one > level for one in samples)
