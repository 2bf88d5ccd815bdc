"""Pipeline files of the lines that are measured: cameras by the number, at one pace."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

from streamline.config import Pipeline, RtspSource, UsbSource, load, missing_files, parse_source
from streamline.errors import ConfigError, InputError
from streamline.infer import Compute

__all__ = ["line_of_clip", "line_of_file", "write_load"]

Pace = Literal["max"] | float

_DEFAULT: Final = Compute()


def line_of_clip(source: str, model: Path, folder: Path, compute: Compute = _DEFAULT) -> Pipeline:
    """Return a line that judges a clip by a model, all else by default.

    Parameters
    ----------
    source : str
        A video file, a folder of images or ``demo://…``.
    model : Path
        Directory of a fitted model.
    folder : Path
        Where its file is written.
    compute : Compute
        The backend and the device that judge it.

    Raises
    ------
    InputError
        If the source is a camera, or either is not there.
    """
    parsed = parse_source(source, Path.cwd())
    path = folder / "given.yaml"
    camera = {"source": parsed.model_dump(mode="json")}
    if isinstance(parsed, RtspSource | UsbSource):
        raise _is_camera(parsed.label)
    document = {
        "version": 1,
        "model": str(model.absolute()),
        "cameras": {"clip": camera},
        "infer": {"backend": compute.backend, "device": compute.device},
    }
    path.write_text(json.dumps(document))
    try:
        return line_of_file(path)
    except ConfigError as exc:
        # Nobody has written that file: its lines mean nothing.
        raise InputError(str(exc).splitlines()[0].partition(": ")[2]) from exc


def line_of_file(path: Path) -> Pipeline:
    """Return a line as its file describes it.

    Raises
    ------
    ConfigError
        If the file is wrong, or what it names is not there.
    InputError
        If one of its sources is a camera, which gives its frames when it likes.
    """
    pipeline = load(path)
    for camera in pipeline.cameras.values():
        where = f"{path}: camera {camera.name!r}"
        if isinstance(camera.source, RtspSource | UsbSource):
            where += f", {camera.source.label}"
            raise _is_camera(where)
        if not camera.model.path.exists():
            msg = f"{where}: there is no model at {camera.model.path}; fit one first"
            raise InputError(msg)
    if missing := missing_files(pipeline):
        raise ConfigError("\n".join(missing))
    return pipeline


def _is_camera(what: str) -> InputError:
    return InputError(f"{what}: a camera can't be measured with; give files, which can be paced")


def write_load(like: Pipeline, folder: Path, *, cameras: int, pace: Pace) -> Path:
    """Write the file of a line under load.

    Its cameras are those of another line in turn, playing for ever.  It tells nobody of alerts,
    and what it records lies in *folder*.

    Parameters
    ----------
    like : Pipeline
        Of files only.
    pace : "max" or float
        As fast as possible and lossless, or frames a second and the newest wins.
    """
    values = like.model_dump(mode="json", exclude={"name", "model", "cameras", "queue"})
    given = list(like.cameras.values())
    values["cameras"] = {
        f"c{number}": _camera(given[number % len(given)].model_dump(mode="json"), pace)
        for number in range(cameras)
    }
    values["alert"]["sinks"] = []
    values["metrics"] = {"port": 0}
    values["record"] = dict(_records(values["record"], folder))
    values["links"] |= {"telemetry": None}
    values["links"] |= {
        link: "ipc" for link, kind in values["links"].items() if str(kind).startswith("tcp:")
    }
    path = folder / "line.yaml"
    path.write_text(json.dumps(values, indent=1))
    return path


def _camera(values: dict[str, Any], pace: Pace) -> dict[str, Any]:
    """Give a camera another pace, and the queue's policy that suits it."""
    del values["name"]
    values["source"] |= {"pace": pace, "loop": True}
    values["queue"]["policy"] = "auto"
    return values


def _records(values: dict[str, Any], folder: Path) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if value is None:
            yield name, None
        elif isinstance(value, dict):
            yield name, value | {"path": str(folder / name)}
        else:
            yield name, str(folder / f"{name}.jsonl")
