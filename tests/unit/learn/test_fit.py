"""Fitting and calibrating on drawn parts."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from streamline import backbone
from streamline.errors import InputError
from streamline.fre import fit_subspace, fuse_errors, reconstruction_error
from streamline.infer import Compute, extract_features, score_frames
from streamline.learn import FitSettings, Fitted, SgfrSettings, fit_frames
from streamline.learn.features import stream_features
from streamline.mask import Mask
from streamline.model import SgfrDetector
from streamline.preprocess import PREPROCESSING
from tests.support.parts import part, parts

Bytes = npt.NDArray[np.uint8]

SETTINGS = FitSettings(compute=Compute(precision="f32")).resolved()


@pytest.fixture(scope="module")
def frames() -> list[Bytes]:
    drawn = parts(30, seed=5)
    for frame in drawn:
        frame.flags.writeable = False
    return drawn


@pytest.fixture(scope="module")
def fitted(frames: list[Bytes]) -> Fitted:
    return fit_frames(frames, SETTINGS, source="parts")


def features(frames: list[Bytes], layers: tuple[str, ...]) -> dict[str, npt.NDArray[np.float32]]:
    batches = list(extract_features(backbone.get(), layers, frames, compute=SETTINGS.compute))
    return {layer: np.concatenate([batch[layer] for batch in batches]) for layer in layers}


def test_the_report_says_what_the_model_holds(fitted: Fitted) -> None:
    report, model = fitted.report, fitted.model
    assert report.frames == model.calibration.frames == 30
    assert report.threshold == model.threshold == model.calibration.scores.max()
    assert report.alpha == pytest.approx(1 / 31)
    assert report.alpha_chosen
    assert set(model.fre.score_layers) == set(SETTINGS.score_layers)
    assert model.fre.score_layers["block5"].subspace.rank > 1
    assert set(model.fre.map_layers) == set(SETTINGS.map_layers)
    assert report.seconds > 0
    assert (model.source, model.preprocessing) == ("parts", PREPROCESSING)
    assert (model.height, model.width) == (256, 256)


def test_held_out_scores_are_those_of_fits_that_left_the_frame_out(
    fitted: Fitted, frames: list[Bytes]
) -> None:
    # Ten blocks of three, one frame left out on either side: the first, one inside, the last.
    seen = features(frames, SETTINGS.score_layers)
    for start in (0, 12, 27):
        others = [i for i in range(30) if not start - 1 <= i < start + 4]
        errors = [
            reconstruction_error(
                matrix[start : start + 3],
                fit_subspace(matrix[others], retain=SETTINGS.retain),
            )
            for matrix in seen.values()
        ]
        np.testing.assert_allclose(
            fitted.model.calibration.scores[start : start + 3], fuse_errors(errors), rtol=1e-4
        )


def test_the_graph_gives_new_sound_parts_scores_like_the_held_out_ones(fitted: Fitted) -> None:
    fresh = np.concatenate(
        list(score_frames(fitted.model, parts(16, seed=6), compute=SETTINGS.compute))
    )
    heldout = fitted.model.calibration.scores
    assert np.median(fresh) == pytest.approx(np.median(heldout), rel=0.1)
    assert np.mean(fresh > fitted.model.threshold) <= 0.25


def test_a_fit_remembers_the_scene(fitted: Fitted, frames: list[Bytes]) -> None:
    scene = fitted.model.calibration.scene
    assert scene is not None
    grey = np.mean([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).mean() for frame in frames])
    assert scene.brightness.low <= grey <= scene.brightness.high
    assert scene.thumbnail.mean() == pytest.approx(grey, abs=1)


def test_scratched_parts_fail(fitted: Fitted) -> None:
    scratched = parts(6, seed=7, defect=True)
    scores = np.concatenate(list(score_frames(fitted.model, scratched, compute=SETTINGS.compute)))
    assert scores.min() > fitted.model.threshold


def test_a_fit_gives_the_same_model_every_time(fitted: Fitted, frames: list[Bytes]) -> None:
    again = fit_frames(iter(frames), SETTINGS, source="parts").model
    assert again.threshold == pytest.approx(fitted.model.threshold, rel=1e-6)
    for name, layer in again.fre.score_layers.items():
        same = fitted.model.fre.score_layers[name].subspace
        cosines = np.linalg.svd(
            layer.subspace.encoder.astype(float) @ same.encoder.T.astype(float),
            compute_uv=False,
        )
        np.testing.assert_allclose(cosines, 1, atol=1e-3)


def test_a_map_on_the_layers_of_the_score_is_learnt_from_the_same_features(
    frames: list[Bytes],
) -> None:
    one = replace(SETTINGS, score_layers=("block5",), map_layers=("block5",), map_max_rank=4)
    model = fit_frames(frames, one, source="parts").model.fre
    score, drawn = (layers["block5"].subspace for layers in (model.score_layers, model.map_layers))
    assert drawn.rank == 4 < score.rank
    np.testing.assert_array_equal(drawn.mean, score.mean)
    np.testing.assert_array_equal(drawn.encoder, score.encoder[:4])
    batches = stream_features(backbone.get(), one.passes, frames[:3], one.compute)
    assert all(for_score is for_map for for_score, for_map in batches)


def test_frames_that_are_merged_make_the_model_that_all_at_once_make(
    fitted: Fitted, frames: list[Bytes]
) -> None:
    # As few frames as this are no recording: with thousands the threshold moves far less.
    capped = FitSettings(compute=SETTINGS.compute, max_rank=4, map_max_rank=4)
    exact = fit_frames(frames, capped, source="parts").model
    merged = fit_frames(frames, replace(capped, hold=20), source="parts").model
    assert merged.calibration.frames == 30
    effective = fitted.report.distinct_frames
    assert merged.distinct_frames == pytest.approx(effective, rel=0.2)
    assert merged.threshold == pytest.approx(exact.threshold, rel=0.06)
    for name, layer in merged.fre.score_layers.items():
        same = exact.fre.score_layers[name].subspace
        assert layer.subspace.rank == same.rank == 4
        assert layer.subspace.retained == pytest.approx(same.retained, rel=0.05)
        cosines = np.linalg.svd(
            layer.subspace.encoder[:2].astype(float) @ same.encoder.T.astype(float),
            compute_uv=False,
        )
        assert cosines.min() > 0.95


def test_a_fit_says_that_too_few_frames_were_held_for_the_variance_asked_for(
    frames: list[Bytes],
) -> None:
    settings = FitSettings(retain=0.99, max_rank=None, hold=16)
    warnings = fit_frames(frames, settings, source="parts").report.warnings
    assert any("hold more, or show fewer" in warning for warning in warnings)


def test_no_layer_keeps_more_directions_than_allowed(frames: list[Bytes]) -> None:
    few = FitSettings(max_rank=5, map_max_rank=3)
    detector = fit_frames(frames, few, source="parts").model.fre
    assert {layer.subspace.rank for layer in detector.score_layers.values()} == {5}
    assert {layer.subspace.rank for layer in detector.map_layers.values()} == {3}


def test_different_parts_are_distinct_frames_without_a_warning(fitted: Fitted) -> None:
    assert fitted.report.distinct_frames > 10
    assert fitted.report.warnings == ()


def test_a_still_scene_with_sensor_noise_is_about_one_frame_and_a_warning() -> None:
    generator = np.random.default_rng(8)
    scene = part(generator).astype(float)
    still = [
        np.clip(np.rint(scene + generator.normal(0, 1.5, scene.shape)), 0, 255).astype(np.uint8)
        for _ in range(24)
    ]
    report = fit_frames(still, SETTINGS, source="still").report
    assert report.distinct_frames < 1.3
    assert report.frames == 24
    (warning,) = report.warnings
    assert warning.startswith("the 24 frames amount to only 1.")
    assert "show it more products" in warning


def test_a_rate_that_is_asked_for_is_kept(frames: list[Bytes]) -> None:
    report = fit_frames(frames, FitSettings(alpha=0.2), source="parts").report
    assert report.alpha == 0.2
    assert not report.alpha_chosen


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        pytest.param({"alpha": 0.001}, r"needs at least 999 normal frames, got 12", id="alpha"),
        pytest.param({"alpha": 1.5}, r"false-alarm rate must be in \(0, 1\)", id="no-rate"),
        pytest.param({"hold": 3}, r"at least 16 frames at once, not 3", id="hold"),
        pytest.param({"retain": 1.5}, r"must be in \(0, 1\], not 1.5", id="retain"),
    ],
)
def test_settings_that_can_not_be_kept_are_refused(
    settings: dict[str, float], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        fit_frames(parts(12, seed=9), FitSettings(**settings), source="parts")  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [0, 1, 7])
def test_too_few_frames_are_refused(n: int) -> None:
    with pytest.raises(InputError, match=rf"at least 8 normal frames, got {n}"):
        fit_frames(parts(n, seed=10), SETTINGS, source="parts")


def test_copies_of_one_frame_are_refused() -> None:
    with pytest.raises(InputError, match=r"no model can be fitted to parts: the frames do not"):
        fit_frames(parts(1, seed=11) * 12, SETTINGS, source="parts")


def test_progress_counts_frames_and_then_layers(frames: list[Bytes]) -> None:
    told: list[tuple[str, int, int | None]] = []
    fit_frames(frames[:9], SETTINGS, source="parts", progress=lambda *step: told.append(step))
    assert told[:9] == [("frames", count, 9) for count in range(1, 10)]
    assert told[9:] == [("layers", count, 4) for count in range(1, 5)]


@pytest.mark.parametrize(
    ("settings", "score", "maps"),
    [
        pytest.param(FitSettings(), ("block4", "block5"), ("block2", "block3"), id="default"),
        pytest.param(
            FitSettings(score_layers=("block3",)), ("block3",), ("block3",), id="map-as-score"
        ),
        pytest.param(
            FitSettings(map_layers=("block1",)), ("block4", "block5"), ("block1",), id="map-alone"
        ),
        pytest.param(
            FitSettings(backbone="resnet50"),
            ("layer2",),
            ("layer1", "layer2", "layer3"),
            id="the-paper's",
        ),
    ],
)
def test_layers_that_nobody_names_are_the_backbone_s_own(
    settings: FitSettings, score: tuple[str, ...], maps: tuple[str, ...]
) -> None:
    resolved = settings.resolved()
    assert (resolved.score_layers, resolved.map_layers) == (score, maps)


def test_the_shipped_network_is_fitted_at_another_size() -> None:
    small = [frame[64:192, 64:192] for frame in parts(12, seed=5)]
    model = fit_frames(small, replace(SETTINGS, size=128), source="parts").model
    assert (model.height, model.width, model.map_shape) == (128, 128, (16, 16))
    (scores,) = score_frames(model, small[:8], compute=SETTINGS.compute)
    assert (scores > 0).all()
    with pytest.raises(InputError, match="expected a frame of uint8"):
        fit_frames(parts(12, seed=5), replace(SETTINGS, size=128), source="parts")


CORNER = Mask((((0.6, 0.6), (1.0, 0.6), (1.0, 1.0), (0.6, 1.0)),))


@pytest.mark.parametrize("settings", [FitSettings(mask=CORNER), SgfrSettings(mask=CORNER)])
def test_what_is_masked_is_not_learnt(settings: FitSettings | SgfrSettings) -> None:
    model = fit_frames(parts(12, seed=6), settings, source="parts").model
    assert model.mask == CORNER
    detector = model.detector
    learnt: dict[str, tuple[Any, Any, npt.NDArray[Any]]]
    if isinstance(detector, SgfrDetector):
        banks = detector.layers
        learnt = {name: (one.kept, one.shape, one.bank.codes) for name, one in banks.items()}
    else:
        learnt = {
            name: (one.kept, one.shape, np.vstack([one.subspace.encoder, one.subspace.mean]))
            for name, one in {**detector.map_layers, **detector.score_layers}.items()
        }
    for kept, shape, rows in learnt.values():
        assert kept is not None
        assert 0 < kept.mean() < 1
        seen = np.broadcast_to(kept, shape).ravel()
        assert (rows[:, ~seen] == 0).all()
        assert (rows[:, seen] != 0).any()


def test_held_out_scores_under_a_mask_are_of_what_frames_to_come_are_scored_by() -> None:
    frames, fresh = parts(40, seed=7), parts(30, seed=8)
    model = fit_frames(frames, FitSettings(mask=CORNER), source="parts").model
    scores = np.concatenate(list(score_frames(model, fresh, compute=Compute())))
    # A fit to all frames leaves a little less than one to nine tenths of them.
    assert np.median(scores) == pytest.approx(np.median(model.calibration.scores), rel=0.06)
