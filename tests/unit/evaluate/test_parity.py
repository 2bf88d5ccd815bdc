"""Two ways to compute a model's scores, compared."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamline.errors import InputError
from streamline.evaluate.parity import compare_scores
from streamline.infer import Compute, score_frames
from streamline.learn import FitSettings, fit_frames
from streamline.messages import Verdict
from streamline.model import Model, save_model
from tests.support.line import streamline
from tests.support.parts import parts

pytest.importorskip("torch")

Bytes = npt.NDArray[np.uint8]

OPENVINO = Compute(precision="f32")
TORCH = Compute(backend="torch", precision="f32")


@pytest.fixture(scope="module")
def frames() -> Bytes:
    """Ten sound parts and two scratched ones."""
    return np.stack([*parts(10, seed=2), *parts(2, seed=3, defect=True)])


@pytest.fixture(scope="module")
def model() -> Model:
    return fit_frames(parts(24, seed=1), FitSettings(), source="drawn parts").model


@pytest.fixture(scope="module")
def scores(model: Model, frames: Bytes) -> npt.NDArray[np.float64]:
    """Of the frames in both ways."""
    ways = [np.concatenate(list(score_frames(model, frames, compute=c))) for c in (OPENVINO, TORCH)]
    return np.stack(ways).astype(np.float64)


def with_threshold(model: Model, threshold: float) -> Model:
    calibration = replace(model.calibration, scores=np.full(20, threshold), alpha=0.1)
    return replace(model, calibration=calibration, digest="")


def test_differences_are_shares_of_the_first_score(
    model: Model, frames: Bytes, scores: npt.NDArray[np.float64]
) -> None:
    apart = np.abs(scores[1] - scores[0]) / scores[0]
    found = compare_scores(model, iter(frames), OPENVINO, TORCH)
    assert found.frames == 12
    assert (found.between.backend, found.other.backend) == ("openvino", "torch")
    assert found.largest == pytest.approx(apart.max(), rel=1e-3)
    assert found.largest_at == apart.argmax()
    assert found.mean == pytest.approx(apart.mean(), rel=1e-3)


def test_a_frame_on_different_sides_of_the_threshold_is_a_flip(
    model: Model, frames: Bytes, scores: npt.NDArray[np.float64]
) -> None:
    at = int(np.abs(scores[1] - scores[0]).argmax())
    threshold = float(scores[:, at].mean())
    wanted = np.flatnonzero((scores[0] > threshold) != (scores[1] > threshold))
    found = compare_scores(with_threshold(model, threshold), frames, OPENVINO, TORCH)
    assert at in wanted
    assert [flip.frame for flip in found.flips] == wanted.tolist()
    for flip in found.flips:
        assert set(flip.verdicts) == {Verdict.PASS, Verdict.FAIL}
        assert (flip.verdicts[0] is Verdict.FAIL) == (flip.scores[0] > threshold)


def test_what_is_the_same_in_two_words_is_refused(model: Model, frames: Bytes) -> None:
    with pytest.raises(InputError, match="both compute with openvino on CPU in f32: give two ways"):
        compare_scores(model, frames, OPENVINO, Compute(device="AUTO", precision="f32"))


def test_no_frames_are_no_parity(model: Model) -> None:
    with pytest.raises(InputError, match="no frames to compare"):
        compare_scores(model, [], OPENVINO, TORCH)


@pytest.mark.timeout(300)
def test_a_flip_refuses_the_model_unless_flips_are_allowed(
    model: Model, frames: Bytes, scores: npt.NDArray[np.float64], tmp_path: Path
) -> None:
    import cv2

    for number, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), frame[..., ::-1])
    at = int(np.abs(scores[1] - scores[0]).argmax())
    save_model(with_threshold(model, float(scores[:, at].mean())), tmp_path / "model")
    arguments: list[str | Path] = [
        "model",
        "parity",
        tmp_path / "model",
        "--between",
        "openvino@f32",
    ]
    arguments += ["--and", "torch@f32", "--frames", tmp_path]
    refused = streamline(*arguments)
    assert refused.returncode == 1
    assert "verdicts differ" in refused.stderr
    allowed = streamline(*arguments, "--allow-flips", "--json", tmp_path / "found.json")
    assert allowed.returncode == 0, allowed.stderr
    assert '"flips": [' in (tmp_path / "found.json").read_text()
