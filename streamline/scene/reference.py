"""What a camera's scene is like when all is well."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from streamline.scene.look import Look, look_at
from streamline.scene.shift import ViewFinder

__all__ = ["Range", "ReferenceBuilder", "SceneReference"]

Frame = npt.NDArray[np.uint8]

_BLOCKS: Final = 8
_LONGEST: Final = 256
"""Frames in a block at most: at 25 a second 10 s, over which `SceneWatch` averages too."""


_A_VIEW: Final = 0.5


class Range(NamedTuple):
    """Between which values a figure's mean over some seconds has lain."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneReference:
    """Light, lens and view of normal frames; the fields are explained in `Look`."""

    brightness: Range
    contrast: Range
    sharpness: Range
    thumbnail: npt.NDArray[np.uint8]
    """Mean of all frames: what moves is wiped out, what stands still is the view."""

    agreement: float
    """How well the view of some of the frames agrees with that of the others, see `Shift.peak`."""

    @property
    def has_view(self) -> bool:
        """Whether something stands still in the frames; loose parts on nothing have no view."""
        return self.agreement >= _A_VIEW


class ReferenceBuilder:
    """Makes a reference of normal frames in order of time, in next to no memory."""

    def __init__(self) -> None:
        self._figures: list[tuple[float, float, float]] = []
        self._views = _Views()

    @property
    def looks(self) -> int:
        """Frames added so far."""
        return len(self._figures)

    def add(self, pixels: Frame, /) -> None:
        """Take a prepared frame of shape ``(h, w, 3)``; not modified."""
        self.add_look(look_at(pixels))

    def passing(
        self, frames: Iterable[npt.NDArray[np.uint8]], /
    ) -> Iterator[npt.NDArray[np.uint8]]:
        """Hand frames on, each of them taken."""
        for frame in frames:
            self.add(frame)
            yield frame

    def add_look(self, look: Look, /) -> None:
        """Take a frame that has been measured."""
        self._figures.append((look.brightness, look.contrast, look.sharpness))
        self._views.add(look.thumbnail)

    def finish(self) -> SceneReference:
        """Return what was common to the frames.

        The ranges are those of means over contiguous blocks, an eighth of the frames each or less.

        Raises
        ------
        ValueError
            If there were no frames.
        """
        if not self._figures:
            msg = "a scene's reference needs a frame at least"
            raise ValueError(msg)
        figures = np.array(self._figures)
        count = max(min(_BLOCKS, len(figures)), -(-len(figures) // _LONGEST))
        means = np.array([block.mean(axis=0) for block in np.array_split(figures, count)])
        low, high = means.min(axis=0).tolist(), means.max(axis=0).tolist()
        mean = np.rint(self._views.mean).astype(np.uint8)
        mean.flags.writeable = False
        ranges = [Range(*pair) for pair in zip(low, high, strict=True)]
        return SceneReference(
            brightness=ranges[0],
            contrast=ranges[1],
            sharpness=ranges[2],
            thumbnail=mean,
            agreement=self._views.agreement(),
        )


class _Views:
    """Sums of thumbnails over contiguous blocks: never more than a few, all of one length."""

    def __init__(self) -> None:
        self._sums: list[npt.NDArray[np.float32]] = []
        self._length = 1
        self._last = 0
        """Frames in the latest block."""

    def add(self, thumbnail: npt.NDArray[np.float32]) -> None:
        if not self._sums or self._last == self._length:
            if len(self._sums) == 2 * _BLOCKS:
                pairs = zip(self._sums[::2], self._sums[1::2], strict=True)
                self._sums = [one + other for one, other in pairs]
                self._length *= 2
            self._sums.append(np.zeros_like(thumbnail))
            self._last = 0
        self._sums[-1] += thumbnail
        self._last += 1

    @property
    def mean(self) -> npt.NDArray[np.float32]:
        """Of all frames."""
        frames = (len(self._sums) - 1) * self._length + self._last
        return np.asarray(np.sum(self._sums, axis=0) / frames, np.float32)

    def agreement(self) -> float:
        """Compare each block with the others; 0 if there is only one."""
        if len(self._sums) < 2:
            return 0.0
        peaks = []
        for place in range(len(self._sums)):
            others = self._sums[:place] + self._sums[place + 1 :]
            peaks.append(ViewFinder(np.sum(others, axis=0)).shift(self._sums[place]).peak)
        return float(np.clip(np.median(peaks), 0, 1))
