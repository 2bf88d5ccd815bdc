"""A line keeps to the models that it started with."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from streamline.config import Pipeline, load, missing_files
from streamline.errors import ModelError
from streamline.mask import Mask
from streamline.model import digest_under, load_calibration, save_calibration
from streamline.run.control import Control
from streamline.run.models import as_seen, freeze, load_models, read_calibrations, read_manifests
from streamline.run.placement import WorkerPlan, plan
from streamline.run.runtime import Runtime
from streamline.run.worker import Worker
from tests.support.models import save_light_model, save_tiny_model, with_threshold


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    """Cameras, the device and the judge in a process each."""
    save_tiny_model(tmp_path / "first")
    (tmp_path / "model").symlink_to("first")
    (tmp_path / "line.yaml").write_text(
        "version: 1\nmodel: model\ncameras: {left: demo://inspect}\nlinks: {scores: ipc}\n"
    )
    return load(tmp_path / "line.yaml")


@pytest.fixture
def runtime(tmp_path: Path, pipeline: Pipeline) -> Runtime:
    """The folder of a line that has started."""
    runtime = Runtime(tmp_path / "run")
    runtime.folder.mkdir()
    Control.create(runtime.control)
    models = read_manifests(pipeline)
    freeze(models, read_calibrations(pipeline, models), runtime)
    return runtime


@contextmanager
def started(worker: WorkerPlan, pipeline: Pipeline, runtime: Runtime) -> Iterator[None]:
    """A worker as it is made at each of its starts."""
    made = Worker(worker, pipeline, runtime)
    yield
    made._context.term()
    made._ledger.close()


def test_a_stage_that_is_restarted_after_a_fit_ends_with_the_cure_and_a_camera_goes_on(
    tmp_path: Path, pipeline: Pipeline, runtime: Runtime
) -> None:
    workers = plan(pipeline)
    assert len(workers) == 3
    for worker in workers:
        with started(worker, pipeline, runtime):
            pass
    with_threshold(tmp_path / "first", tmp_path / "second", 7.0)
    (tmp_path / "model").unlink()
    (tmp_path / "model").symlink_to("second")
    cameras = [worker for worker in workers if "source" in worker.stages]
    for worker in cameras:
        with started(worker, pipeline, runtime):
            pass
    sentence = rf"^{tmp_path / 'model'} was changed while the line runs \(model \w{{12}} became "
    for worker in workers:
        if worker not in cameras:
            with pytest.raises(ModelError, match=sentence + r"\w{12}\); start the line again$"):
                Worker(worker, pipeline, runtime)


def test_only_the_judge_minds_that_a_model_was_calibrated_again(
    tmp_path: Path, pipeline: Pipeline, runtime: Runtime
) -> None:
    path = tmp_path / "first" / "calibration.json"
    save_calibration(replace(load_calibration(path), alpha=0.2), path)
    sentence = rf"^{tmp_path / 'model'} was changed while the line runs \(calibration \w{{12}} "
    for worker in plan(pipeline):
        if "alert" in worker.stages:
            with pytest.raises(ModelError, match=sentence):
                Worker(worker, pipeline, runtime)
        else:
            with started(worker, pipeline, runtime):
                pass


def test_a_camera_may_have_a_calibration_of_its_own_for_a_model_that_it_shares(
    tmp_path: Path, pipeline: Pipeline
) -> None:
    models = read_manifests(pipeline)
    (own,) = read_calibrations(pipeline, models).values()
    other = save_calibration(replace(own, alpha=0.2), tmp_path / "right.json")
    (tmp_path / "two.yaml").write_text(
        "version: 1\nmodel: model\ncameras:\n  left: demo://inspect\n"
        "  right: {source: demo://inspect, calibration: right.json}\n"
    )
    two = load(tmp_path / "two.yaml")
    assert missing_files(two) == []
    found = read_calibrations(two, read_manifests(two))
    assert (found["left"].digest, found["right"].digest) == (own.digest, other.digest)
    loaded = load_models(two, two.cameras)
    assert loaded["left"].digest == loaded["right"].digest
    assert loaded["left"].detector is loaded["right"].detector
    (tmp_path / "right.json").unlink()
    why = f"there is no file {tmp_path / 'right.json'} (make it: streamline model calibrate)"
    assert missing_files(two) == [f"{tmp_path / 'two.yaml'}:5: cameras.right.calibration: {why}"]


def test_a_calibration_for_another_model_is_refused(tmp_path: Path, pipeline: Pipeline) -> None:
    (own,) = read_calibrations(pipeline, read_manifests(pipeline)).values()
    save_calibration(replace(own, model="ef" * 32), tmp_path / "left.json")
    (tmp_path / "one.yaml").write_text(
        "version: 1\nmodel: model\n"
        "cameras: {left: {source: demo://inspect, calibration: left.json}}\n"
    )
    one = load(tmp_path / "one.yaml")
    with pytest.raises(ModelError, match=r"left\.json was made for another model than .*model is"):
        read_calibrations(one, read_manifests(one))


def test_a_camera_s_mask_must_be_the_one_that_its_threshold_was_read_under(
    tmp_path: Path,
) -> None:
    save_light_model(tmp_path / "light")
    own = load_calibration(tmp_path / "light" / "calibration.json")
    corners = "[[0, 0], [160, 0], [160, 90], [0, 90]]"
    mask = Mask.of_pixels((((0, 0), (160, 0), (160, 90), (0, 90)),), (0, 0, 640, 360))
    save_calibration(replace(own, mask=mask), tmp_path / "left.json")
    text = (
        "version: 1\nmodel: light\ncameras:\n  left:\n    source: demo://inspect\n"
        f"    size: [640, 360]\n    mask: [{corners}]\n    calibration: left.json\n"
        "  right: demo://inspect\n"
    )
    (tmp_path / "masked.yaml").write_text(text)
    masked = load(tmp_path / "masked.yaml")
    manifests = read_manifests(masked)
    assert read_calibrations(masked, manifests)["left"].mask == mask
    models = as_seen(load_models(masked, masked.cameras))
    names = {name: model.digest for name, model in models.items()}
    assert names["right"] == manifests["right"].digest
    assert names["left"] == digest_under(names["right"], mask)
    for wrong in (
        text.replace("    calibration: left.json\n", ""),
        text.replace("[160, 0]", "[170, 0]"),
    ):
        (tmp_path / "masked.yaml").write_text(wrong)
        other = load(tmp_path / "masked.yaml")
        with pytest.raises(ModelError, match=r"yaml:7: cameras.left.mask: .* --mask … --to FILE"):
            read_calibrations(other, read_manifests(other))
