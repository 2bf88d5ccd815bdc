"""The figures of one frame, against their definitions."""

import numpy as np
import pytest

from streamline.scene import look_at


def test_a_look_measures_what_its_definition_says() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (256, 256)).astype(np.uint8)
    look = look_at(np.repeat(grey[..., None], 3, axis=2))
    blocks = grey.reshape(64, 4, 64, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(look.thumbnail, blocks, atol=0.51)
    assert look.brightness == pytest.approx(grey.mean(), abs=0.1)
    assert look.contrast == pytest.approx(blocks.std(), rel=0.01)
    wide = np.pad(grey.astype(float), 1, mode="reflect")
    around = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
    laplacian = around - 4 * wide[1:-1, 1:-1]
    assert look.sharpness == pytest.approx(laplacian.std() / blocks.std(), rel=0.01)


def test_more_light_makes_a_picture_no_sharper() -> None:
    rng = np.random.default_rng(1)
    frame = rng.integers(0, 120, (256, 256, 3)).astype(np.uint8)
    plain, bright = look_at(frame), look_at(frame * np.uint8(2))
    assert bright.brightness == pytest.approx(2 * plain.brightness, rel=0.01)
    assert bright.sharpness == pytest.approx(plain.sharpness, rel=0.02)


def test_a_picture_smaller_than_a_thumbnail_can_be_looked_at() -> None:
    look = look_at(np.full((16, 16, 3), 77, np.uint8))
    assert (look.brightness, look.contrast, look.sharpness) == (77, 0, 0)
