"""Which models a line starts with, and keeps to."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from streamline.config import Pipeline
from streamline.errors import ModelError
from streamline.model import (
    Calibration,
    Manifest,
    Model,
    calibration_of,
    load_model,
    read_manifest,
    require_preprocessing,
)
from streamline.preprocess import PREPROCESSING
from streamline.run.runtime import Runtime

__all__ = ["freeze", "load_models", "read_calibrations", "read_manifests", "require_frozen"]

Read = TypeVar("Read", Manifest, Model)


def read_manifests(pipeline: Pipeline) -> dict[str, Manifest]:
    """Read what the model of each camera says of itself.

    That is all that most of a line needs of a model: input size and digest.

    Raises
    ------
    ModelError
        If one can't be used.
    """
    return _by_camera(pipeline, read_manifest)


def load_models(pipeline: Pipeline) -> dict[str, Model]:
    """Load the model of each camera; cameras that name the same directory share its numbers.

    Raises
    ------
    ModelError
        If one can't be used.
    """
    models = _by_camera(pipeline, load_model)
    calibrations = read_calibrations(pipeline, models)
    return {name: replace(models[name], calibration=calibrations[name]) for name in models}


def _by_camera(pipeline: Pipeline, read: Callable[[Path], Read]) -> dict[str, Read]:
    by_path: dict[Path, Read] = {}
    for camera in pipeline.cameras.values():
        path = camera.model.path
        if path not in by_path:
            by_path[path] = read(path)
            require_preprocessing(by_path[path].preprocessing, PREPROCESSING)
    return {name: by_path[camera.model.path] for name, camera in pipeline.cameras.items()}


def read_calibrations(
    pipeline: Pipeline, models: Mapping[str, Manifest] | Mapping[str, Model]
) -> dict[str, Calibration]:
    """Read what the scores of each camera are held against.

    Raises
    ------
    ModelError
        If one can't be used.
    """
    found: dict[tuple[Path, Path | None], Calibration] = {}
    for name, camera in pipeline.cameras.items():
        where = camera.model.path, camera.calibration
        if where not in found:
            path, own = where
            found[where] = calibration_of(path, models[name].digest, own)
    return {
        name: found[camera.model.path, camera.calibration]
        for name, camera in pipeline.cameras.items()
    }


class _Frozen(msgspec.Struct, frozen=True):
    """Digests by camera."""

    models: dict[str, str]
    calibrations: dict[str, str]


def freeze(
    models: Mapping[str, Manifest], calibrations: Mapping[str, Calibration], runtime: Runtime
) -> None:
    """Write down what the line starts with: scores and thresholds are of the same models then."""
    frozen = _Frozen(
        models={name: one.digest for name, one in models.items()},
        calibrations={name: one.digest for name, one in calibrations.items()},
    )
    runtime.models.write_bytes(msgspec.json.encode(frozen))


def require_frozen(
    pipeline: Pipeline,
    found: Mapping[str, Manifest] | Mapping[str, Model] | Mapping[str, Calibration],
    runtime: Runtime,
) -> None:
    """Check that none was made anew while the line runs: the other stages have the old one.

    Parameters
    ----------
    found : mapping of camera name to Manifest, Model or Calibration
        As they are now.

    Raises
    ------
    ModelError
        If one was.
    """
    frozen = msgspec.json.decode(runtime.models.read_bytes(), type=_Frozen)
    for name, one in found.items():
        calibrated = isinstance(one, Calibration)
        before = (frozen.calibrations if calibrated else frozen.models)[name]
        if one.digest != before:
            what = "calibration" if calibrated else "model"
            msg = f"{pipeline.cameras[name].model.path} was changed while the line runs ({what} "
            msg += f"{before[:12]} became {one.digest[:12]}); start the line again"
            raise ModelError(msg)
