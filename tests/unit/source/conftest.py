"""Clips whose frames tell their own number."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamline.messages import Picture
from tests.support.clips import encode

FRAMES = 60
BITS = 6


def numbered(number: int) -> npt.NDArray[np.uint8]:
    """Render a frame of 96 x 128 px that shows *number* in black and white blocks."""
    pixels = np.full((96, 128, 3), 60 + number, np.uint8)
    for bit in range(BITS):
        pixels[32:64, bit * 16 : bit * 16 + 16] = 235 if number >> bit & 1 else 16
    return pixels


def number_of(picture: Picture) -> int:
    """Read the number back."""
    blocks = picture.planes[0][40:56, 4 : BITS * 16 : 16]
    return sum(1 << bit for bit in range(BITS) if blocks[:, bit].mean() > 125)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 60 numbered frames at 25 frames a second, a key frame every 20."""
    path = tmp_path_factory.mktemp("clips") / "numbered.mp4"
    return encode((numbered(n) for n in range(FRAMES)), path, rate=25, key_every=20)
