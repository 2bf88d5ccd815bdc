"""Pictures that calibrate a network's 8-bit ranges: rendered, so that anybody gets the same."""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["render_pictures"]

Frame = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def render_pictures(count: int, seed: int, /, *, size: int) -> Iterator[Frame]:
    """Render pictures with the statistics of photographs, shape ``(size, size, 3)`` each.

    Clouds of noise at many scales give the spectrum of natural pictures; shapes give edges and
    flat parts; contrast, brightness, tint and sensor noise vary from dark to blown out.
    """
    generator = np.random.default_rng(seed)
    for _ in range(count):
        picture = _clouds(generator, size)
        for _ in range(int(generator.integers(2, 14))):
            _draw_shape(picture, generator)
        picture = picture * generator.uniform(0.4, 1.5) + generator.uniform(-60, 60)
        picture += generator.normal(0, generator.uniform(0, 8), picture.shape)
        yield np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _clouds(generator: np.random.Generator, size: int) -> Floats:
    """Sum noise of sizes 2, 4 ... 128 cells, coarser ones stronger, in one tint or in colour."""
    picture = np.full((size, size, 3), generator.uniform(60, 200, 3), np.float32)
    channels = int(generator.choice((1, 3)))
    slope = generator.uniform(0.4, 1.1)
    for octave in range(1, 8):
        cells = generator.normal(0, 40 * 2 ** (-slope * octave), (2**octave, 2**octave, channels))
        layer = cv2.resize(cells.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
        picture += layer.reshape(size, size, channels)
    return picture


def _draw_shape(picture: Floats, generator: np.random.Generator) -> None:
    """Draw an ellipse, a box or a line of a random colour, now and then only its outline."""
    size = len(picture)
    colour = tuple(float(part) for part in generator.uniform(0, 255, 3))
    first, second = (tuple(int(x) for x in generator.integers(0, size, 2)) for _ in range(2))
    thickness = int(generator.choice((-1, -1, 1, 3, 8)))
    kind = generator.integers(3)
    if kind == 0:
        axes = tuple(int(x) for x in generator.integers(3, size // 3, 2))
        angle = float(generator.uniform(0, 180))
        cv2.ellipse(picture, first, axes, angle, 0, 360, colour, thickness, cv2.LINE_AA)
    elif kind == 1:
        cv2.rectangle(picture, first, second, colour, thickness)
    else:
        cv2.line(picture, first, second, colour, max(thickness, 1), cv2.LINE_AA)
