"""A camera over a bench: a scene that stands still, products in passing, sensor noise."""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from streamline.scene import ReferenceBuilder, SceneReference

Frame = npt.NDArray[np.uint8]
FPS = 25


class Bench:
    """Frames of 256 x 256 px, 25 a second, each another one."""

    def __init__(self, *, beat_s: float = 2.0, rows: slice = slice(100, 150)) -> None:
        self._beat = beat_s * FPS
        self._rows = rows
        rng = np.random.default_rng(3)
        coarse = rng.integers(60, 190, (32, 32)).astype(np.float32)
        self._back = cv2.resize(coarse, (256, 256), interpolation=cv2.INTER_NEAREST)
        self._rng = np.random.default_rng(4)

    def frame(self, number: int) -> Frame:
        """A product comes by at every beat."""
        picture = self._back.copy()
        left = int(number % self._beat * 600 / self._beat) - 60
        picture[self._rows, max(left, 0) : max(left + 60, 0)] = 30
        grey = picture + self._rng.normal(0, 2, picture.shape)
        return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)

    def frames(self, count: int, first: int = 0) -> Iterator[tuple[float, Frame]]:
        """Time and picture of so many frames."""
        for number in range(first, first + count):
            yield number / FPS, self.frame(number)


@pytest.fixture
def bench() -> Bench:
    """A bench whose noise begins anew."""
    return Bench()


@pytest.fixture(scope="session")
def reference() -> SceneReference:
    """What 12 s of the bench are like."""
    builder = ReferenceBuilder()
    for _, frame in Bench().frames(300):
        builder.add(frame)
    return builder.finish()
