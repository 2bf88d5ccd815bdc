"""Models on disk: written whole or not at all, read only if every hash and shape agrees."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from msgspec.structs import asdict
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save_file

from streamline import __version__
from streamline.backbone import Backbone, Quantisation, copy_folder, read_folder
from streamline.errors import InputError, ModelError
from streamline.mask import Mask
from streamline.model import manifest as entries
from streamline.model.calibration import Calibration, load_calibration, save_calibration
from streamline.model.entries import DTYPES
from streamline.model.fre import FreDetector, FreEntry
from streamline.model.manifest import Manifest
from streamline.model.masked import hide_cells
from streamline.model.record import BackboneId, Model
from streamline.model.sgfr import SgfrDetector
from streamline.model.swap import swap_directories
from streamline.regular import open_regular

__all__ = [
    "calibration_of",
    "check_free",
    "load_model",
    "read_manifest",
    "recalibrate",
    "save_model",
]

MANIFEST = "manifest.json"
TENSORS = "tensors.safetensors"
NETWORK = "backbone"
CALIBRATION = "calibration.json"
_MANIFEST_BYTES = 1 << 20


def save_model(model: Model, path: Path, /, *, replace: bool = False) -> Model:
    """Write a model directory: complete under a temporary name, synced, then renamed.

    Parameters
    ----------
    path : Path
        The directory to make; its parents are made too.
    replace : bool
        Whether a model that is there already may be replaced, in one step.

    Returns
    -------
    Model
        The same, with the digests that it and its calibration got.

    Raises
    ------
    InputError
        If something is there that may not be replaced, or the disk refuses.
    """
    check_free(path, replace=replace)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        try:
            written = _write(model, made)
            _install(made, path)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as exc:
        msg = f"the model can't be written to {path}: {exc.strerror or exc}"
        raise InputError(msg) from exc
    return written


def check_free(path: Path, /, *, replace: bool) -> None:
    """Check that a model may be written to `path`, before any work is done for it.

    Raises
    ------
    InputError
        If something is there that may not be replaced.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / MANIFEST).is_file():
        msg = f"{path} is there already and is no model directory; choose another name"
        raise InputError(msg)
    if not replace:
        msg = f"{path} holds a model already; choose another name, or replace it with --force"
        raise InputError(msg)


def _install(made: Path, path: Path) -> None:
    if path.exists():
        # What was there ends under the temporary name, which the caller removes.
        swap_directories(made, path)
    else:
        made.rename(path)
    _sync(path.parent)


def _write(model: Model, folder: Path) -> Model:
    tensors = folder / TENSORS
    save_file(_tensors_of(model), tensors)
    manifest = _manifest_of(model, tensors)
    (folder / MANIFEST).write_bytes(entries.encode_manifest(manifest))
    if model.stored is not None:
        copy_folder(model.stored, folder / NETWORK)
    digest = entries.digest_of(manifest)
    calibration = replaced(model.calibration, model=digest)
    calibration = save_calibration(calibration, folder / CALIBRATION)
    # Made private by mkdtemp and by safetensors; the line often runs as another user.
    for place in (*folder.rglob("*"), folder):
        place.chmod(0o755 if place.is_dir() else 0o644)
        _sync(place)
    return replaced(model, digest=digest, calibration=calibration)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _tensors_of(model: Model) -> dict[str, npt.NDArray[Any]]:
    tensors = model.detector.tensors()
    # safetensors writes the memory as it lies: a strided view would come back scrambled.
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}


def _manifest_of(model: Model, tensors: Path) -> Manifest:
    return Manifest(
        format="streamline-model",
        version=2,
        streamline=__version__,
        created=model.created,
        source=model.source[:4096],
        backbone=_backbone_entry(model),
        preprocessing=model.preprocessing,
        input=entries.InputEntry(height=model.height, width=model.width),
        detector=model.detector.entry(),
        mask=() if model.mask is None else model.mask.polygons,
        distinct_frames=model.distinct_frames,
        tensors=entries.TensorsEntry(bytes=tensors.stat().st_size, sha256=_sha256(tensors)),
    )


def _backbone_entry(model: Model) -> entries.BackboneEntry:
    how = model.quantisation
    return entries.BackboneEntry(
        **model.backbone._asdict(),
        stored=model.stored is not None,
        quantisation=None if how is None else entries.QuantisationEntry(**asdict(how)),
    )


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_model(path: Path, /) -> Model:
    """Read a model directory that may be anything.

    Sizes are checked before they are allocated and hashes before anything is believed; no
    byte of the directory is ever run.

    Raises
    ------
    ModelError
        If it is no model, of another version, truncated or edited.
    """
    with _refusing(path):
        manifest = entries.decode_manifest(_manifest_bytes(path))
        tensors = _read_tensors(path / TENSORS, manifest)
        stored = _read_network(path / NETWORK, manifest)
    calibration = calibration_of(path, manifest.digest)
    return _model_of(manifest, calibration, tensors, stored)


def read_manifest(path: Path, /) -> Manifest:
    """Read what a model directory that may be anything says of itself, and nothing else of it.

    Its own hash is checked; the tensors, which it vouches for, are left to those who load them.

    Raises
    ------
    ModelError
        If it is no model, of another version or edited.
    """
    with _refusing(path):
        return entries.decode_manifest(_manifest_bytes(path))


def calibration_of(path: Path, digest: str, /, file: Path | None = None) -> Calibration:
    """Read the calibration of a model.

    Parameters
    ----------
    path : Path
        The model's directory.
    digest : str
        The model's.
    file : Path, optional
        Where the calibration is, if not in that directory.

    Raises
    ------
    ModelError
        If there is none, or it belongs to another model.
    """
    found = path / CALIBRATION if file is None else file
    calibration = load_calibration(found)
    if calibration.model != digest:
        msg = f"{found} was made for another model than {path} is; calibrate that one again"
        raise ModelError(msg)
    return calibration


def recalibrate(path: Path, calibration: Calibration, /) -> Calibration:
    """Replace the calibration that lies in a model's directory.

    Returns
    -------
    Calibration
        The same, with the digest it got.

    Raises
    ------
    InputError
        If the disk refuses.
    """
    written = save_calibration(calibration, path / CALIBRATION)
    _sync(path)
    return written


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a model's files into a sentence with its path and a remedy."""
    try:
        yield
    except ValueError as exc:
        _refuse(path, str(exc), exc)
    except FileNotFoundError as exc:
        cure = "fit one: streamline fit SOURCE --out"
        if not path.exists():
            msg = f"there is no folder {path}; {cure} {path}"
            raise ModelError(msg) from exc
        _refuse(path, f"is no model: {Path(exc.filename).name} is missing; {cure} MODEL", exc)
    except (OSError, SafetensorError) as exc:
        _refuse(path, f"can't be read ({exc}); restore a copy or fit it again", exc)


def _refuse(path: Path, why: str, cause: Exception) -> NoReturn:
    msg = f"{path} {why}"
    raise ModelError(msg) from cause


def _manifest_bytes(path: Path) -> bytes:
    if path.exists() and not path.is_dir():
        msg = "is a file, a model is a directory; name the directory that 'streamline fit' made"
        raise ValueError(msg)
    with open_regular(path / MANIFEST) as file:
        data = file.read(_MANIFEST_BYTES + 1)
    if len(data) > _MANIFEST_BYTES:
        msg = "is no Streamline model: its manifest.json is far too large"
        raise ValueError(msg)
    return data


def _read_tensors(path: Path, manifest: Manifest) -> Mapping[str, npt.NDArray[Any]]:
    """Read what the manifest's hash names, once: nobody can put another in its place meanwhile."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size != manifest.tensors.bytes:
            msg = (
                f"has a truncated or foreign {TENSORS} ({size} bytes, the manifest says "
                f"{manifest.tensors.bytes}); restore a copy or fit it again"
            )
            raise ValueError(msg)
        data = file.read(size)
    if hashlib.sha256(data).hexdigest() != manifest.tensors.sha256:
        msg = f"has a {TENSORS} that was edited or damaged; restore a copy or fit it again"
        raise ValueError(msg)
    expected = manifest.detector.shapes()
    stored = dict(deserialize(data))  # type: ignore[no-untyped-call]
    if {name: (part["dtype"], tuple(part["shape"])) for name, part in stored.items()} != expected:
        msg = f"holds other tensors in {TENSORS} than its manifest says; fit it again"
        raise ValueError(msg)
    return {
        name: np.frombuffer(stored[name]["data"], DTYPES[dtype]).reshape(shape)
        for name, (dtype, shape) in expected.items()
    }


def _read_network(folder: Path, manifest: Manifest) -> Backbone | None:
    entry = manifest.backbone
    if not entry.stored:
        return None
    net = read_folder(folder, entry.precision, cure="restore a copy or fit the model again")
    size = (manifest.input.height, manifest.input.width)
    if net.sha256 != entry.sha256 or (net.height, net.width) != size:
        msg = f"has another network in {NETWORK} than it was fitted on; restore a copy or fit again"
        raise ValueError(msg)
    return net


def _seen(
    manifest: Manifest, tensors: Mapping[str, npt.NDArray[Any]], mask: Mask | None
) -> FreDetector | SgfrDetector:
    size, entry = (manifest.input.height, manifest.input.width), manifest.detector
    if isinstance(entry, FreEntry):
        return hide_cells(entry.detector(tensors), mask, size=size)
    return hide_cells(entry.detector(tensors), mask, size=size)


def _model_of(
    manifest: Manifest,
    calibration: Calibration,
    tensors: Mapping[str, npt.NDArray[Any]],
    stored: Backbone | None,
) -> Model:
    how = manifest.backbone.quantisation
    mask = Mask(manifest.mask) if manifest.mask else None
    return Model(
        backbone=BackboneId(
            manifest.backbone.name, manifest.backbone.precision, manifest.backbone.sha256
        ),
        stored=stored,
        quantisation=None if how is None else Quantisation(**asdict(how)),
        preprocessing=manifest.preprocessing,
        height=manifest.input.height,
        width=manifest.input.width,
        detector=_seen(manifest, tensors, mask),
        mask=mask,
        distinct_frames=manifest.distinct_frames,
        calibration=calibration,
        source=manifest.source,
        created=manifest.created,
        digest=manifest.digest,
    )
