"""Which models a line starts with, and keeps to."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from streamline.config import Pipeline
from streamline.errors import ModelError
from streamline.mask import Mask
from streamline.model import (
    Calibration,
    Manifest,
    Model,
    calibration_of,
    digest_under,
    load_model,
    read_manifest,
    require_preprocessing,
    restrict_model,
)
from streamline.preprocess import PREPROCESSING
from streamline.run.runtime import Runtime

__all__ = [
    "as_seen",
    "freeze",
    "load_models",
    "names_of",
    "read_calibrations",
    "read_manifests",
    "require_frozen",
]

Read = TypeVar("Read", Manifest, Model)


def read_manifests(pipeline: Pipeline) -> dict[str, Manifest]:
    """Read what the model of each camera says of itself.

    That is all that most of a line needs of a model: input size and digest.

    Raises
    ------
    ModelError
        If one can't be used.
    """
    return _by_camera(pipeline, pipeline.cameras, read_manifest)


def load_models(pipeline: Pipeline, cameras: Iterable[str]) -> dict[str, Model]:
    """Load the models of cameras; those that name the same directory share its numbers.

    Raises
    ------
    ModelError
        If one can't be used.
    """
    models = _by_camera(pipeline, cameras, load_model)
    calibrations = read_calibrations(pipeline, models)
    return {name: replace(models[name], calibration=calibrations[name]) for name in models}


def _by_camera(
    pipeline: Pipeline, cameras: Iterable[str], read: Callable[[Path], Read]
) -> dict[str, Read]:
    paths = {name: pipeline.cameras[name].model.path for name in cameras}
    by_path: dict[Path, Read] = {}
    for path in dict.fromkeys(paths.values()):
        by_path[path] = read(path)
        require_preprocessing(by_path[path].preprocessing, PREPROCESSING)
    return {name: by_path[path] for name, path in paths.items()}


def read_calibrations(
    pipeline: Pipeline, models: Mapping[str, Manifest] | Mapping[str, Model]
) -> dict[str, Calibration]:
    """Read what the scores of each camera are held against whose model is given.

    Raises
    ------
    ModelError
        If one can't be used.
    """
    cameras = {name: pipeline.cameras[name] for name in models}
    found: dict[tuple[Path, Path | None], Calibration] = {}
    for name, camera in cameras.items():
        where = camera.model.path, camera.calibration
        if where not in found:
            path, own = where
            found[where] = calibration_of(path, models[name].digest, own)
    calibrations = {
        name: found[camera.model.path, camera.calibration] for name, camera in cameras.items()
    }
    for name, calibration in calibrations.items():
        _require_mask(pipeline, name, calibration.mask or _mask_of(models[name]))
    return calibrations


def _mask_of(model: Manifest | Model) -> Mask | None:
    if isinstance(model, Model):
        return model.mask
    return Mask(model.mask) if model.mask else None


def _require_mask(pipeline: Pipeline, name: str, applied: Mask | None) -> None:
    """Check that a camera's threshold was read under the mask that the file asks for."""
    wanted = pipeline.cameras[name].view_mask
    if wanted is None or wanted == applied:
        return
    msg = (
        f"{pipeline.where(f'cameras.{name}.mask')}: the model's threshold was not read under this "
        "mask; make one with: streamline model calibrate MODEL SOURCE --mask … --to FILE, and name "
        "FILE as calibration"
    )
    raise ModelError(msg)


def as_seen(models: Mapping[str, Model]) -> dict[str, Model]:
    """See each camera's model through the mask of its calibration; equal ones are one object.

    Raises
    ------
    ModelError
        If a mask leaves nothing of a model.
    """
    seen: dict[str, Model] = {}
    for model in models.values():
        mask = model.calibration.mask
        if mask is not None and digest_under(model.digest, mask) not in seen:
            seen[digest_under(model.digest, mask)] = restrict_model(model, mask)
    return {
        name: replace(
            seen.get(digest_under(model.digest, model.calibration.mask), model),
            calibration=model.calibration,
        )
        for name, model in models.items()
    }


class _Frozen(msgspec.Struct, frozen=True):
    """Digests by camera."""

    models: dict[str, str]
    calibrations: dict[str, str]


def names_of(models: Mapping[str, Manifest], calibrations: Mapping[str, Calibration]) -> str:
    """Return what names the models of a line, and no other ones."""
    frozen = _Frozen(
        models={name: one.digest for name, one in models.items()},
        calibrations={name: one.digest for name, one in calibrations.items()},
    )
    return msgspec.json.encode(frozen).decode()


def freeze(
    models: Mapping[str, Manifest], calibrations: Mapping[str, Calibration], runtime: Runtime
) -> None:
    """Write down what the line starts with: scores and thresholds are of the same models then."""
    runtime.models.write_text(names_of(models, calibrations))


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
