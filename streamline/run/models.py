"""Which models a line starts with, and keeps to."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from streamline.config import Pipeline
from streamline.errors import ModelError
from streamline.model import Manifest, Model, load_model, read_manifest, require_preprocessing
from streamline.preprocess import PREPROCESSING
from streamline.run.runtime import Runtime

__all__ = ["freeze", "load_models", "read_manifests", "require_frozen"]

Read = TypeVar("Read", Manifest, Model)


def read_manifests(pipeline: Pipeline) -> dict[str, Manifest]:
    """Read what the model of each camera says of itself.

    That is all that most of a line needs of a model: input size, threshold and digest.

    Raises
    ------
    ModelError
        If one can't be used.
    """
    return _by_camera(pipeline, read_manifest)


def load_models(pipeline: Pipeline) -> dict[str, Model]:
    """Load the model of each camera; cameras that name the same directory share one object.

    Raises
    ------
    ModelError
        If one can't be used.
    """
    return _by_camera(pipeline, load_model)


def _by_camera(pipeline: Pipeline, read: Callable[[Path], Read]) -> dict[str, Read]:
    by_path: dict[Path, Read] = {}
    for camera in pipeline.cameras.values():
        path = camera.model.path
        if path not in by_path:
            by_path[path] = read(path)
            require_preprocessing(by_path[path].preprocessing, PREPROCESSING)
    return {name: by_path[camera.model.path] for name, camera in pipeline.cameras.items()}


def freeze(models: Mapping[str, Manifest], runtime: Runtime) -> None:
    """Write down what the line starts with: scores and thresholds are of the same models then."""
    digests = {name: model.digest for name, model in models.items()}
    runtime.models.write_text(json.dumps(digests))


def require_frozen(
    pipeline: Pipeline, models: Mapping[str, Manifest] | Mapping[str, Model], runtime: Runtime
) -> None:
    """Check that no model was fitted while the line runs: the other stages have the old one.

    Raises
    ------
    ModelError
        If one was.
    """
    digests: Mapping[str, str] = json.loads(runtime.models.read_text())
    for name, model in models.items():
        if model.digest != digests[name]:
            msg = f"{pipeline.cameras[name].model.path} was changed while the line runs (model "
            msg += f"{digests[name][:12]} became {model.digest[:12]}); start the line again"
            raise ModelError(msg)
