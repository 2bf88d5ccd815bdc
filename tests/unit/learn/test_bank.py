"""Fitting memory banks, and thresholds by frames that the bank does not know."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from streamline import backbone
from streamline.errors import InputError, ModelError
from streamline.infer import Compute, extract_features, score_frames
from streamline.learn import Fitted, SgfrSettings, fit_frames
from streamline.learn import bank as module
from streamline.model import SgfrDetector
from streamline.sgfr import Judge
from tests.support.parts import parts

Bytes = npt.NDArray[np.uint8]

SETTINGS = SgfrSettings(samples=6, sparsity=3, compute=Compute(precision="f32"))


@pytest.fixture(scope="module")
def frames() -> list[Bytes]:
    drawn = parts(30, seed=5)
    for frame in drawn:
        frame.flags.writeable = False
    return drawn


@pytest.fixture(scope="module")
def fitted(frames: list[Bytes]) -> Fitted:
    return fit_frames(frames, SETTINGS, source="parts")


def bank_of(fitted: Fitted) -> SgfrDetector:
    assert isinstance(fitted.model.detector, SgfrDetector)
    return fitted.model.detector


def features(frames: list[Bytes]) -> dict[str, npt.NDArray[np.float32]]:
    (layers,) = SETTINGS.resolved().passes
    batches = list(extract_features(backbone.get(), layers, frames, compute=SETTINGS.compute))
    return {layer: np.concatenate([batch[layer] for batch in batches]) for layer in layers}


def test_the_bank_holds_the_features_of_all_frames_in_their_order(
    fitted: Fitted, frames: list[Bytes]
) -> None:
    detector = bank_of(fitted)
    assert (detector.frames, detector.precision) == (30, "float16")
    assert detector.recipe == SETTINGS.resolved().recipe
    for name, rows in features(frames).items():
        layer = backbone.get().layers[name]
        assert detector.layers[name].shape == (layer.channels, layer.height, layer.width)
        np.testing.assert_allclose(
            detector.layers[name].bank.opened(), rows, rtol=1e-3, atol=1e-5 * rows.max()
        )


@pytest.mark.parametrize("rule", ["error", "maximum"])
def test_held_out_scores_are_those_of_banks_without_the_frame_and_its_neighbours(
    frames: list[Bytes], rule: str
) -> None:
    # Ten blocks of three, one frame left out on either side: the first, one inside, the last.
    settings = replace(SETTINGS, rule="error" if rule == "error" else "maximum")
    detector = bank_of(one := fit_frames(frames, settings, source="parts"))
    seen = features(frames)
    for start in (0, 12, 27):
        others = [i for i in range(30) if not start - 1 <= i < start + 4]
        judge = Judge(
            {name: layer.bank.opened()[others] for name, layer in detector.layers.items()},
            detector.recipe,
            shapes={name: layer.shape for name, layer in detector.layers.items()},
            size=(256, 256),
        )
        expected = judge.scores({name: rows[start : start + 3] for name, rows in seen.items()})
        found = one.model.calibration.scores[start : start + 3]
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_new_sound_parts_score_like_the_held_out_ones_and_scratched_parts_fail(
    fitted: Fitted,
) -> None:
    model = fitted.model
    fresh = np.concatenate(list(score_frames(model, parts(16, seed=6), compute=SETTINGS.compute)))
    assert np.median(fresh) == pytest.approx(np.median(model.calibration.scores), rel=0.1)
    assert np.mean(fresh > model.threshold) <= 0.25
    scratched = parts(6, seed=7, defect=True)
    scores = np.concatenate(list(score_frames(model, scratched, compute=SETTINGS.compute)))
    assert scores.min() > model.threshold


def test_the_report_says_what_the_model_holds(fitted: Fitted) -> None:
    assert fitted.report.frames == 30
    assert fitted.report.threshold == fitted.model.calibration.scores.max()
    assert fitted.report.alpha == pytest.approx(1 / 31)
    heading, told = bank_of(fitted).summary()
    assert heading == "bank"
    assert told == (
        "30 frames in float16, 4.9 MB; 6 of them chosen by block5, 3 combined for block2 and block4"
    )


def test_copies_of_one_frame_are_refused() -> None:
    with pytest.raises(InputError, match=r"no model can be fitted to parts: the frames do not"):
        fit_frames(parts(1, seed=11) * 12, SETTINGS, source="parts")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        pytest.param(SgfrSettings(samples=0), r"1 to 512, not 0 and 10", id="samples"),
        pytest.param(SgfrSettings(sparsity=0), r"1 to 512, not 50 and 0", id="sparsity"),
        pytest.param(SgfrSettings(samples=600), r"1 to 512, not 600 and 10", id="many"),
        pytest.param(SgfrSettings(tolerance=-1), r"must be 0 or more, not -1", id="epsilon"),
    ],
)
def test_a_recipe_that_can_not_be_kept_is_refused(settings: SgfrSettings, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        fit_frames(parts(8, seed=9), settings, source="parts")


def test_more_frames_than_a_bank_may_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "most_frames", lambda features: 10 * len(features))
    with pytest.raises(InputError, match=r"holds 30 frames at most; set --max-frames$"):
        fit_frames(parts(8, seed=9) * 5, SETTINGS, source="parts")


def test_layers_are_the_backbone_s_own_unless_they_are_named() -> None:
    ours = SgfrSettings(backbone="wide_resnet50_2").resolved().recipe
    assert (ours.sampling_layer, ours.map_layers) == ("layer4", ("layer2", "layer3"))
    one = SgfrSettings(backbone="resnet18", map_layers=("layer1",)).resolved().recipe
    assert (one.sampling_layer, one.map_layers) == ("layer4", ("layer1",))
    named = SgfrSettings(backbone="timm.resnet10t", map_layers=("a",), sampling_layer="b")
    assert named.resolved().recipe.layers == ("a", "b")
    with pytest.raises(ModelError, match=r"name the layers of timm\.resnet10t .*--sampling-level"):
        SgfrSettings(backbone="timm.resnet10t", map_layers=("a",)).resolved()
