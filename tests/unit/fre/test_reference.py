"""Scores and maps against geometry, OpenCV and loops."""

import cv2
import numpy as np
import pytest

from streamline.fre import (
    fit_subspace,
    fuse_errors,
    fuse_maps,
    mean_square_map,
    reconstruction_error,
    reconstruction_residual,
    resize_bilinear,
)


def frames_of(seed: int, n: int, d: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    frames = np.random.default_rng(seed).normal(2, 1, size=(n, d)).astype(np.float32)
    frames.flags.writeable = False
    return frames


def test_the_residual_is_orthogonal_to_every_direction() -> None:
    subspace = fit_subspace(frames_of(1, 12, 40), retain=0.6)
    residual = reconstruction_residual(frames_of(2, 5, 40), subspace)
    np.testing.assert_allclose(residual @ subspace.directions.T, 0, atol=1e-5)


def test_the_error_is_the_distance_to_the_nearest_point_of_the_subspace() -> None:
    subspace = fit_subspace(frames_of(3, 12, 40), retain=0.6)
    frame = frames_of(4, 1, 40)
    nearest, *_ = np.linalg.lstsq(subspace.directions.T, (frame - subspace.mean)[0], rcond=None)
    apart = frame[0] - subspace.mean - subspace.directions.T @ nearest
    assert reconstruction_error(frame, subspace)[0] == pytest.approx(np.linalg.norm(apart))


def test_a_score_does_not_depend_on_the_batch_a_frame_came_in() -> None:
    subspace = fit_subspace(frames_of(5, 12, 40), retain=0.6)
    frames = frames_of(6, 7, 40)
    together = reconstruction_error(frames, subspace)
    alone = [reconstruction_error(frame[None], subspace)[0] for frame in frames]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


def test_the_map_is_the_channel_mean_of_squares_by_a_loop() -> None:
    residual = frames_of(7, 2, 3 * 4 * 5)
    heat = mean_square_map(residual, shape=(3, 4, 5))
    for n, y, x in np.ndindex(2, 4, 5):
        channels = [float(residual[n, c * 20 + y * 5 + x]) for c in range(3)]
        assert heat[n, y, x] == pytest.approx(sum(value**2 for value in channels) / 3)


@pytest.mark.parametrize(
    ("old", "new"),
    [((8, 8), (32, 32)), ((5, 7), (9, 30)), ((1, 3), (4, 6)), ((16, 16), (16, 16))],
)
def test_maps_are_resized_as_opencv_does(old: tuple[int, int], new: tuple[int, int]) -> None:
    heat = np.random.default_rng(8).random((1, *old))
    expected = cv2.resize(heat[0], (new[1], new[0]), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(resize_bilinear(heat, size=new)[0], expected, atol=1e-6)


def test_fused_maps_have_the_grid_of_the_finest() -> None:
    generator = np.random.default_rng(9)
    coarse, fine = generator.random((2, 4, 4)) + 1, generator.random((2, 8, 8)) + 1
    fused = fuse_maps([coarse, fine])
    expected = np.sqrt(resize_bilinear(coarse, size=(8, 8)) * fine)
    np.testing.assert_allclose(fused, expected)


def test_the_fused_error_is_the_geometric_mean() -> None:
    errors = [np.array([2.0, 5.0]), np.array([4.0, 5.0]), np.array([8.0, 5.0])]
    np.testing.assert_allclose(fuse_errors(errors), [4.0, 5.0])


def test_an_error_of_zero_in_one_layer_is_no_infinity() -> None:
    fused = fuse_errors([np.array([0.0]), np.array([5.0])])
    assert np.isfinite(fused).all()
    assert fused[0] < 0.01
