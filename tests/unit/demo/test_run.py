"""The demonstration's folder and its pipeline file."""

from pathlib import Path

import pytest

from streamline.config import DemoSource, load
from streamline.demo.run import prepare_folder
from streamline.errors import InputError

SEEDS = {"left": 4, "right": 5}


def test_the_pipeline_file_runs_two_cameras_at_camera_pace(tmp_path: Path) -> None:
    path = prepare_folder(tmp_path / "out", 4, SEEDS)
    pipeline = load(path)
    assert {name: camera.source for name, camera in pipeline.cameras.items()} == {
        name: DemoSource(part="inspect", seed=seed, pace="native") for name, seed in SEEDS.items()
    }
    for camera in pipeline.cameras.values():
        assert camera.model.learn is not None
        assert camera.model.learn.source == DemoSource(part="normal", seed=4)


def test_an_earlier_demonstration_is_replaced(tmp_path: Path) -> None:
    prepare_folder(tmp_path, 4, SEEDS)
    (tmp_path / "alerts.jsonl").write_text("old")
    (tmp_path / "evidence" / "left").mkdir(parents=True)
    prepare_folder(tmp_path, 4, SEEDS)
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.yaml"]


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "alerts.jsonl").write_text("dear to me")
    with pytest.raises(InputError, match="holds something else than a demonstration"):
        prepare_folder(tmp_path, 0, SEEDS)
    assert (tmp_path / "alerts.jsonl").read_text() == "dear to me"


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't be written"):
        prepare_folder(tmp_path / "file" / "out", 0, SEEDS)
