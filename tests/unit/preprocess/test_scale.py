"""Scaling and colour, against formulas written out by hand."""

import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamline.colour import to_rgb
from streamline.messages import Colour, Picture, PixelFormat
from streamline.preprocess import prepare

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


def noise(*shape: int, seed: int = 0) -> Bytes:
    """Frozen noise, within the limited range."""
    pixels = np.random.default_rng(seed).integers(16, 236, shape, np.uint8)
    pixels.flags.writeable = False
    return pixels


def i420(height: int, width: int, *, seed: int = 0, colour: Colour = Colour.BT601) -> Picture:
    half = ((height + 1) // 2, (width + 1) // 2)
    planes = (
        noise(height, width, seed=seed),
        noise(*half, seed=seed + 1),
        noise(*half, seed=seed + 2),
    )
    return Picture(format=PixelFormat.I420, planes=planes, colour=colour)


def rgb(height: int, width: int) -> Picture:
    return Picture(format=PixelFormat.RGB, planes=(noise(height, width, 3),))


def gray(height: int, width: int) -> Picture:
    return Picture(format=PixelFormat.GRAY, planes=(noise(height, width),))


def scaled_by_hand(plane: Bytes, height: int, width: int) -> Floats:
    """Halve in whole numbers, half up; then interpolate between the nearest pixel centres."""
    whole = plane.astype(np.int64)
    while whole.shape[0] >= 2 * height or whole.shape[1] >= 2 * width:
        by_rows, by_columns = whole.shape[0] >= 2 * height, whole.shape[1] >= 2 * width
        if by_rows:
            whole = whole[: whole.shape[0] // 2 * 2]
            whole = whole[::2] + whole[1::2]
        if by_columns:
            whole = whole[:, : whole.shape[1] // 2 * 2]
            whole = whole[:, ::2] + whole[:, 1::2]
        count = 1 << (by_rows + by_columns)
        whole = (whole + count // 2) // count
    down = weights(whole.shape[0], height)
    across = weights(whole.shape[1], width)
    rows = np.tensordot(down, whole.astype(float), axes=(1, 0))
    return np.moveaxis(np.tensordot(across, rows, axes=(1, 1)), 0, 1)


def weights(have: int, want: int) -> Floats:
    """Matrix (want, have) of linear interpolation with pixel centres at half-integers."""
    matrix = np.zeros((want, have))
    for target in range(want):
        centre = (target + 0.5) * have / want - 0.5
        below = int(np.floor(centre))
        share = centre - below
        matrix[target, min(max(below, 0), have - 1)] += 1 - share
        matrix[target, min(max(below + 1, 0), have - 1)] += share
    return matrix


SIZES = [
    (256, 256),
    (360, 640),
    (1080, 1920),
    (512, 512),
    (511, 513),
    (37, 51),
    (1031, 257),
    (640, 360),
]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_grey_pixels_are_within_one_level_of_the_formula(height: int, width: int) -> None:
    picture = gray(height, width)
    expected = scaled_by_hand(picture.planes[0], 256, 256)
    got = prepare(picture)
    assert got.shape == (256, 256, 3)
    assert got.flags.c_contiguous
    assert np.abs(got - expected[:, :, np.newaxis]).max() <= 1


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_rgb_pixels_are_within_one_level_of_the_formula(height: int, width: int) -> None:
    picture = rgb(height, width)
    expected = scaled_by_hand(picture.planes[0], 256, 256)
    assert np.abs(prepare(picture) - expected).max() <= 1


@pytest.mark.parametrize("size", [(300, 500), (100, 90), (256, 300)])
def test_without_halving_it_is_torchs_bilinear(size: tuple[int, int]) -> None:
    picture = rgb(*size)
    tensor = torch.from_numpy(picture.planes[0].astype(np.float32)).permute(2, 0, 1)[None]
    scaled = torch.nn.functional.interpolate(tensor, (256, 256), mode="bilinear")
    expected = scaled[0].permute(1, 2, 0).numpy()
    assert np.abs(prepare(picture) - expected).max() <= 1


def test_halving_is_the_mean_of_pixels_rounded_half_up() -> None:
    pixels = noise(256, 512)
    pairs = pixels.astype(int).reshape(256, 256, 2).sum(axis=2)
    got = prepare(Picture(format=PixelFormat.GRAY, planes=(pixels,)))
    assert np.array_equal(got[:, :, 0], (pairs + 1) // 2)
    squares = noise(512, 512).astype(int).reshape(256, 2, 256, 2).sum(axis=(1, 3))
    got = prepare(gray(512, 512))
    assert np.array_equal(got[:, :, 0], (squares + 2) // 4)


# ITU-R BT.601 and BT.709, with the constants as the standards' tables print them.
KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


def converted_by_hand(y: Floats, u: Floats, v: Floats, colour: Colour) -> Floats:
    kr, kb = KR_KB[colour.removesuffix("-full")]
    full = colour.endswith("full")
    luma = y / 255 if full else (y - 16) / 219
    pb, pr = ((c - 128) / (255 if full else 224) for c in (u, v))
    red = luma + 2 * (1 - kr) * pr
    blue = luma + 2 * (1 - kb) * pb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack([red, green, blue], axis=2) * 255, 0, 255)


@pytest.mark.parametrize("colour", list(Colour))
@pytest.mark.parametrize(
    ("height", "width"), [(256, 256), (360, 640), (1080, 1920), (37, 51), (719, 1281)]
)
def test_yuv_is_scaled_plane_by_plane_and_then_converted(
    height: int, width: int, colour: Colour
) -> None:
    picture = i420(height, width, colour=colour)
    y = np.rint(scaled_by_hand(picture.planes[0], 256, 256))
    u, v = (
        np.rint(scaled_by_hand(p, 128, 128)).repeat(2, axis=0).repeat(2, axis=1)
        for p in picture.planes[1:]
    )
    expected = converted_by_hand(y, u, v, colour)
    # One level of scaling error in Y, U and V each, times the matrix's gains (at most 4.4).
    assert np.abs(prepare(picture) - expected).max() <= 5.5
    assert np.abs(prepare(picture) - expected).mean() <= 0.7


@pytest.mark.parametrize("colour", list(Colour))
def test_conversion_alone_is_within_one_level_of_the_standards_formula(colour: Colour) -> None:
    picture = i420(256, 256, colour=colour)
    y, u, v = (plane.astype(float) for plane in picture.planes)
    u, v = (c.repeat(2, axis=0).repeat(2, axis=1) for c in (u, v))
    expected = converted_by_hand(y, u, v, colour)
    assert np.abs(prepare(picture) - expected).max() <= 1.5
    assert np.array_equal(prepare(picture), to_rgb(picture))


def test_padded_rows_change_nothing() -> None:
    tight = i420(361, 641)
    padded = []
    for plane in tight.planes:
        wide = np.full((plane.shape[0], plane.shape[1] + 31), 255, np.uint8)
        wide[:, : plane.shape[1]] = plane
        padded.append(wide[:, : plane.shape[1]])
    loose = Picture(format=PixelFormat.I420, planes=tuple(padded))
    assert np.array_equal(prepare(loose), prepare(tight))
    assert np.array_equal(to_rgb(loose), to_rgb(tight))


def test_a_given_output_is_filled_and_returned() -> None:
    buffer = np.zeros((4, 256, 256, 3), np.uint8)
    for number, picture in enumerate([i420(360, 640), rgb(100, 80), gray(512, 700), i420(30, 30)]):
        assert prepare(picture, out=buffer[number]) is not None
        assert np.array_equal(buffer[number], prepare(picture))


@pytest.mark.parametrize("size", [(64, 128), (62, 30), (2, 2)])
def test_other_sizes_come_out_as_asked(size: tuple[int, int]) -> None:
    for picture in (i420(360, 640), rgb(360, 640), gray(360, 640)):
        assert prepare(picture, size=size).shape == (*size, 3)


def test_an_odd_size_is_refused() -> None:
    with pytest.raises(ValueError, match="size must be even, got 255 x 256"):
        prepare(gray(300, 300), size=(255, 256))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_region_is_the_picture_cut_out_to_even_coordinates(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(2, 60)), data.draw(st.integers(2, 60))
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    w, h = data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    left, top = x // 2 * 2, y // 2 * 2
    right, bottom = min(width, (x + w + 1) // 2 * 2), min(height, (y + h + 1) // 2 * 2)
    full = i420(height, width)
    cut = (
        full.planes[0][top:bottom, left:right],
        full.planes[1][top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2],
        full.planes[2][top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2],
    )
    expected = prepare(Picture(format=PixelFormat.I420, planes=cut), size=(32, 32))
    assert np.array_equal(prepare(full, roi=(x, y, w, h), size=(32, 32)), expected)
    for picture in (rgb(height, width), gray(height, width)):
        part = (picture.planes[0][top:bottom, left:right],)
        expected = prepare(Picture(format=picture.format, planes=part), size=(32, 32))
        assert np.array_equal(prepare(picture, roi=(x, y, w, h), size=(32, 32)), expected)


@pytest.mark.parametrize(
    "roi", [(0, 0, 641, 10), (-2, 0, 10, 10), (0, 350, 10, 11), (5, 5, 0, 3), (5, 5, 3, -1)]
)
def test_a_region_outside_the_picture_is_refused(roi: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="does not lie in the picture of 640 x 360 px"):
        prepare(i420(360, 640), roi=roi)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (37, 51), (1, 1), (2, 3)])
def test_full_size_conversion_repeats_chroma_over_two_by_two_pixels(
    height: int, width: int
) -> None:
    for colour in Colour:
        picture = i420(height, width, colour=colour)
        y, u, v = (plane.astype(float) for plane in picture.planes)
        u, v = (c.repeat(2, axis=0).repeat(2, axis=1)[:height, :width] for c in (u, v))
        expected = converted_by_hand(y, u, v, colour)
        got = to_rgb(picture)
        assert got.shape == (height, width, 3)
        assert np.abs(got - expected).max() <= 1.5


def test_rgb_and_grey_are_converted_without_change() -> None:
    picture = rgb(20, 30)
    assert np.array_equal(to_rgb(picture), picture.planes[0])
    assert not np.shares_memory(to_rgb(picture), picture.planes[0])
    assert np.array_equal(to_rgb(gray(20, 30))[:, :, 2], gray(20, 30).planes[0])


def test_scaling_leaves_no_threads_that_spin_for_more_work() -> None:
    program = """
import os, numpy as np
from streamline.messages import Picture, PixelFormat
from streamline.preprocess import prepare
before = len(os.listdir("/proc/self/task"))
shapes = ((1080, 1920), (540, 960), (540, 960))
planes = tuple(np.zeros(shape, np.uint8) for shape in shapes)
prepare(Picture(format=PixelFormat.I420, planes=planes))
print(len(os.listdir("/proc/self/task")) - before)
"""
    more = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(more.stdout) == 0
