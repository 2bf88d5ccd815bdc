"""Maps and masks at one size."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from streamline.evaluate import Category, Sample
from streamline.evaluate.maps import SMOOTHING_PX, read_masks, smoothed_maps


def category(folder: Path, levels: list[int], above: int) -> Category:
    """One defective image, its mask in stripes of these grey levels, and a normal one."""
    image, mask = folder / "image.png", folder / "mask.png"
    cv2.imwrite(str(image), np.zeros((len(levels), 4, 3), np.uint8))
    cv2.imwrite(str(mask), np.repeat(np.array(levels, np.uint8)[:, None], 4, axis=1))
    samples = (
        Sample(image=image, anomalous=True, mask=mask),
        Sample(image=image, anomalous=False, mask=None),
    )
    return Category(name="lid", train=(), test=samples, masked=True, mask_above=above)


@pytest.mark.parametrize(
    ("above", "expected"), [(127, [False, False, False, True]), (0, [False, True, True, True])]
)
def test_a_mask_marks_what_is_above_its_data_sets_level(
    tmp_path: Path, above: int, expected: list[bool]
) -> None:
    masks = read_masks(category(tmp_path, [0, 3, 127, 128], above), (8, 8))
    assert masks[0, ::2, 0].tolist() == expected
    assert (masks[0] == masks[0, :, :1]).all()
    assert not masks[1].any()


def test_maps_are_interpolated_and_smoothed_as_others_do_it() -> None:
    small = np.random.default_rng(0).random((2, 32, 32)).astype(np.float16)
    small.flags.writeable = False
    maps = smoothed_maps(small, (256, 256))
    for one, got in zip(small.astype(float), maps, strict=True):
        large = zoom(one, 8, order=1, mode="nearest", grid_mode=True)
        expected = gaussian_filter(large, SMOOTHING_PX, mode="mirror")
        assert got == pytest.approx(expected, abs=2e-3)
