"""What a pipeline needs on disk before it can start; looks, opens nothing heavy."""

import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from streamline.config.links import Links
from streamline.config.metrics import Metrics
from streamline.config.schema import Camera, ModelChoice, Pipeline, Record
from streamline.config.secrets import read_secret
from streamline.config.sinks import AnySink, CommandSink
from streamline.config.sources import AnySource, ImagesSource, RtspSource, VideoSource
from streamline.errors import InputError

__all__ = ["missing_files"]

_Needs = Iterator[tuple[str, str]]
"""Key and what is missing there."""


def missing_files(pipeline: Pipeline, stages: Collection[str] | None = None) -> list[str]:
    """Return a line for each file or folder that the pipeline needs and can't have.

    Looked for are models (unless they are learnt on the first start), calibrations, videos,
    folders of images, files of secrets, keys and certificates, programs to be run. Cameras are
    not: one that is away may come.

    Parameters
    ----------
    pipeline : Pipeline
    stages : collection of str, optional
        Those that run on this computer, of a line over several; all unless given.

    Returns
    -------
    list of str
        ``FILE:LINE: key.path: what is missing``, in the order of cameras; empty if all is there.
    """
    lines = [f"{pipeline.where(key)}: {what}" for key, what in _needs(pipeline, stages)]
    return list(dict.fromkeys(lines))


def _needs(pipeline: Pipeline, stages: Collection[str] | None) -> _Needs:
    for camera in pipeline.cameras.values():
        if stages is None or "source" in stages:
            yield from _source_needs(f"cameras.{camera.name}.source", camera.source)
        yield from _camera_needs(pipeline, camera)
    yield from _record_needs(pipeline.record)
    yield from _link_needs(pipeline.links)
    if stages is None or "alert" in stages:
        yield from _sink_needs(pipeline.alert.sinks)
        yield from _metrics_needs(pipeline.metrics)


def _record_needs(record: Record) -> _Needs:
    key_file = None if record.audit is None else record.audit.key_file
    if key_file is not None and (problem := _unreadable(key_file, folder=False)):
        yield "record.audit.key_file", f"{problem} (make one: openssl rand -hex 32)"


def _link_needs(links: Links) -> _Needs:
    if links.keys is not None and (problem := _unreadable(links.keys.own_file, folder=False)):
        yield "links.keys.own_file", f"{problem} (make one: streamline keys {links.keys.own_file})"


def _metrics_needs(metrics: Metrics) -> _Needs:
    for name in ("certificate_file", "key_file"):
        path = getattr(metrics, name)
        if path is not None and (problem := _unreadable(path, folder=False)):
            yield f"metrics.{name}", problem
    if metrics.token_file is not None and (problem := _no_secret(metrics.token_file)):
        yield "metrics.token_file", f"{problem} (make one: openssl rand -hex 32)"


def _camera_needs(pipeline: Pipeline, camera: Camera) -> _Needs:
    key = f"cameras.{camera.name}"
    of_all = camera.model == pipeline.model
    yield from _model_needs("model" if of_all else f"{key}.model", camera.model)
    if camera.calibration is not None and (why := _unreadable(camera.calibration, folder=False)):
        yield f"{key}.calibration", f"{why} (make it: streamline model calibrate)"


def _model_needs(key: str, model: ModelChoice) -> _Needs:
    if model.path.is_dir():
        if not (model.path / "manifest.json").exists():
            cure = "fit one: streamline fit SOURCE --out MODEL"
            yield f"{key}.path", f"{model.path} is no model: manifest.json is missing ({cure})"
    elif model.path.exists():
        yield f"{key}.path", f"{model.path} is no folder (a model is a folder)"
    elif model.learn is None:
        cure = f"streamline fit SOURCE --out {model.path}, or write learn: here"
        yield f"{key}.path", f"there is no model at {model.path} (fit one: {cure})"
    else:
        yield from _source_needs(f"{key}.learn.source", model.learn.source)


def _source_needs(key: str, source: AnySource) -> _Needs:
    if isinstance(source, VideoSource):
        if problem := _unreadable(source.path, folder=False):
            yield f"{key}.path", problem
    elif isinstance(source, ImagesSource):
        if problem := _unreadable(source.path, folder=True):
            yield f"{key}.path", problem
    elif isinstance(source, RtspSource):
        if source.password_file is not None and (problem := _no_secret(source.password_file)):
            yield f"{key}.password_file", problem
        if source.ca_file is not None and (problem := _unreadable(source.ca_file, folder=False)):
            yield f"{key}.ca_file", problem


def _no_secret(path: Path) -> str:
    """Say why a secret can't be read; nothing if it can."""
    try:
        read_secret(path)
    except InputError as exc:
        return str(exc)
    return ""


def _unreadable(path: Path, *, folder: bool) -> str:
    """Say why a file or folder can't be read; nothing if it can."""
    if not path.exists():
        return f"there is no {'folder' if folder else 'file'} {path}"
    if path.is_dir() is not folder:
        return f"{path} is {'no folder' if folder else 'a folder, not a file'}"
    return "" if os.access(path, os.R_OK) else f"{path} may not be read by this user"


def _sink_needs(sinks: Iterable[AnySink]) -> _Needs:
    for i, sink in enumerate(sinks):
        key = f"alert.sinks.{i}"
        for name in ("secret_file", "password_file"):
            if (path := getattr(sink, name, None)) is not None and (why := _no_secret(path)):
                yield f"{key}.{name}", why
        certificates = getattr(sink, "ca_file", None)
        if certificates is not None and (why := _unreadable(certificates, folder=False)):
            yield f"{key}.ca_file", why
        if isinstance(sink, CommandSink):
            yield from _command_needs(key, sink)


def _command_needs(key: str, sink: CommandSink) -> _Needs:
    if shutil.which(sink.run[0]) is None:
        yield f"{key}.run", f"there is no program {sink.run[0]}, or it may not be run"
    for name in sink.env:
        if name not in os.environ:
            cure = "set it for the line, or take it off the list"
            yield f"{key}.env", f"there is no environment variable {name} ({cure})"
