"""Calibration files: what goes in comes out, and nothing else is let in."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from streamline.errors import InputError, ModelError
from streamline.model import Calibration, load_calibration, save_calibration
from streamline.scene import ReferenceBuilder


@pytest.fixture
def calibration() -> Calibration:
    return Calibration(
        alpha=0.05,
        scores=np.random.default_rng(3).random(40),
        way="split",
        effective_frames=17.5,
        blocks=10,
        gap=2,
        interval_s=0.04,
        source="./good",
        created="2031-01-02T03:04:05+00:00",
        device="CPU",
        arithmetic="f32",
        model="ab" * 32,
    )


def test_a_calibration_comes_back_as_it_was_saved(calibration: Calibration, tmp_path: Path) -> None:
    written = save_calibration(calibration, tmp_path / "new" / "left.json")
    read = load_calibration(tmp_path / "new" / "left.json")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["left.json"]
    np.testing.assert_array_equal(read.scores, calibration.scores)
    for name in Calibration.__slots__:
        if name not in {"scores", "test"}:
            assert getattr(read, name) == getattr(written, name)
    assert read.threshold == float(np.sort(calibration.scores)[-2])
    assert len(read.digest) == 64


def test_the_scene_of_a_calibration_comes_back_with_it(
    calibration: Calibration, tmp_path: Path
) -> None:
    builder, rng = ReferenceBuilder(), np.random.default_rng(0)
    for _ in range(20):
        builder.add(rng.integers(0, 256, (64, 64, 3)).astype(np.uint8))
    scene = builder.finish()
    save_calibration(replace(calibration, scene=scene), tmp_path / "left.json")
    read = load_calibration(tmp_path / "left.json").scene
    assert read is not None
    np.testing.assert_array_equal(read.thumbnail, scene.thumbnail)
    for name in ("brightness", "contrast", "sharpness", "agreement"):
        assert getattr(read, name) == getattr(scene, name)


def test_people_can_read_what_is_promised(calibration: Calibration, tmp_path: Path) -> None:
    save_calibration(calibration, tmp_path / "left.json")
    read = json.loads((tmp_path / "left.json").read_text())
    assert (read["alpha"], read["frames"], read["way"]) == (0.05, 40, "split")
    assert read["threshold"] == calibration.threshold
    assert list(read)[-1] == "scores"
    assert np.array_equal(np.frombuffer(base64.b64decode(read["scores"])), calibration.scores)


def test_it_may_be_made_anew_but_nothing_else_is_written_over(
    calibration: Calibration, tmp_path: Path
) -> None:
    path = tmp_path / "left.json"
    first = save_calibration(calibration, path)
    second = save_calibration(replace(calibration, alpha=0.1), path)
    assert load_calibration(path).digest == second.digest != first.digest
    path.write_text('{"format": "notes"}')
    with pytest.raises(InputError, match="is there already and is no calibration"):
        save_calibration(calibration, path)
    with pytest.raises(InputError, match="is there already and is no calibration"):
        save_calibration(calibration, tmp_path)


def rewritten(path: Path, **changes: object) -> None:
    """Change what a file says, its digest too: all that remains is to be checked for sense."""
    from streamline.model import calibration as module

    entry = msgspec.json.decode(path.read_bytes(), type=module._File)
    entry = msgspec.structs.replace(entry, **changes)
    entry = msgspec.structs.replace(entry, digest=module._digest_of(entry))
    path.write_bytes(msgspec.json.encode(entry))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"threshold": 9.0}, id="threshold"),
        pytest.param({"scores": b"123"}, id="no-numbers"),
        pytest.param({"scores": b""}, id="no-scores"),
        pytest.param({"scores": np.full(40, np.nan).tobytes()}, id="nan"),
        pytest.param({"frames": 41}, id="count"),
        pytest.param({"alpha": 0.01}, id="rate-not-supported"),
    ],
)
def test_scores_that_do_not_give_the_threshold_are_refused(
    calibration: Calibration, tmp_path: Path, changes: dict[str, object]
) -> None:
    path = tmp_path / "left.json"
    save_calibration(calibration, path)
    rewritten(path, **changes)
    with pytest.raises(ModelError, match=rf"^{path} is a damaged calibration \(its scores don't"):
        load_calibration(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is no calibration; make one with: streamline model calibrate"),
        ('{"format": "streamline-model", "version": 2}', "is no calibration"),
        ('{"format": "streamline-calibration", "version": 2}', r"another version .* \(format 2"),
        ('{"format": "streamline-calibration", "version": 1}', "is a damaged calibration"),
    ],
)
def test_what_is_no_calibration_is_refused_with_one_sentence(
    tmp_path: Path, content: str, sentence: str
) -> None:
    (tmp_path / "left.json").write_text(content)
    with pytest.raises(ModelError, match=sentence) as refusal:
        load_calibration(tmp_path / "left.json")
    assert "\n" not in str(refusal.value)


def test_an_edited_calibration_is_refused(calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "left.json"
    save_calibration(calibration, path)
    path.write_text(path.read_text().replace("./good", "./better"))
    with pytest.raises(ModelError, match="that was edited"):
        load_calibration(path)


def test_one_that_is_missing_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"left\.json is missing; make it with: streamline model"):
        load_calibration(tmp_path / "left.json")
