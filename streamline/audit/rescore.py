"""Score frames that are kept as evidence, in the way the line scored them."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from streamline.audit.evidence import read_item_record
from streamline.audit.records import RunCamera
from streamline.errors import InferenceError, ModelError, SourceError
from streamline.evidence.store import RECORD
from streamline.infer import Compute, Heads, Scorer, distinct, grouped, open_scorer, score_network
from streamline.messages import Picture
from streamline.model import (
    Model,
    load_model,
    read_manifest,
    require_preprocessing,
    restrict_model,
)
from streamline.preprocess import PREPROCESSING, prepare
from streamline.source import read_image
from streamline.source.video import VideoReader

__all__ = ["Kept", "Rescored", "models_of_run", "rescored"]

_EXACT: Final = "frame.mkv"
_SEEN: Final = "frame.png"
"""Exact too where there is no other: of pictures that were RGB or grey."""


class Kept(NamedTuple):
    """A frame to be scored."""

    camera: str
    folder: Path
    """Of its evidence."""


class Rescored(NamedTuple):
    """A frame's score."""

    kept: Kept
    score: float | None
    why: str
    """Why there is none; empty if there is one."""


class _Unusable(Exception):  # noqa: N818 - no error of the program: it is told of the frame
    """Evidence from which no score can be computed."""


def models_of_run(cameras: Mapping[str, RunCamera], folders: Sequence[Path]) -> dict[str, Model]:
    """Load the very models that a run had.

    Parameters
    ----------
    cameras : mapping of camera name to RunCamera
    folders : sequence of Path
        Looked at before the place where the run had them.

    Raises
    ------
    ModelError
        If one is not there any more.
    """
    by_digest: dict[str, Model] = {}
    for camera in cameras.values():
        if camera.judge not in by_digest:
            found = _find_model(camera, [*folders, Path(camera.model_path)])
            require_preprocessing(found.preprocessing, PREPROCESSING)
            mask = camera.left_out
            by_digest[camera.judge] = found if mask is None else restrict_model(found, mask)
    return {name: by_digest[camera.judge] for name, camera in cameras.items()}


def rescored(
    models: Mapping[str, Model], frames: Iterable[Kept], compute: Compute
) -> Iterator[Rescored]:
    """Score frames, by network and model.

    Models that share a network are opened together as the line opens them, also those of which
    there is no frame: a model alone is joined with its network, and rounds otherwise.

    Parameters
    ----------
    models : mapping of camera name to Model
        Of all cameras of the line, in the order of its pipeline file.
    frames : iterable of Kept
    compute : Compute

    Raises
    ------
    ConfigError
        If the backend, the device or its arithmetic is not there.
    """
    everything = list(frames)
    for group in grouped(models, score_network).values():
        ours = [kept for kept in everything if kept.camera in group]
        if ours:
            yield from _rescored_together(group, ours, compute)


def _rescored_together(
    models: Mapping[str, Model], frames: list[Kept], compute: Compute
) -> Iterator[Rescored]:
    done: SimpleQueue[int] = SimpleQueue()
    scorer = open_scorer(distinct(models), compute, on_done=done.put)
    heads = Heads(models)

    def head(kept: Kept) -> int:
        return heads.of(kept.camera)

    def run(batch: Sequence[Kept], pixels: Sequence[npt.NDArray[np.uint8]]) -> list[float]:
        for place, one in zip(scorer.input(0), pixels, strict=False):
            place[:] = one
        scorer.start(0, *heads.counts(kept.camera for kept in batch))
        done.get()
        return [float(score) for score in scorer.result(0, head=head(batch[0]))]

    try:
        for _, some in groupby(sorted(frames, key=head), head):
            yield from _in_batches(list(some), scorer, run)
    finally:
        scorer.close()


def _in_batches(
    frames: Sequence[Kept],
    scorer: Scorer,
    run: Callable[[Sequence[Kept], Sequence[npt.NDArray[np.uint8]]], list[float]],
) -> Iterator[Rescored]:
    """Score the frames of one head."""
    for first in range(0, len(frames), scorer.max_batch):
        usable, pixels = [], []
        for kept in frames[first : first + scorer.max_batch]:
            try:
                pixels.append(_prepared(kept.folder, (scorer.height, scorer.width)))
                usable.append(kept)
            except _Unusable as exc:
                yield Rescored(kept, None, str(exc))
        if not usable:
            continue
        try:
            scores = run(usable, pixels)
        except InferenceError as exc:
            yield from (Rescored(kept, None, str(exc)) for kept in usable)
        else:
            yield from (
                Rescored(kept, score, "") for kept, score in zip(usable, scores, strict=True)
            )


def _prepared(folder: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Prepare a frame for its model, as the line did."""
    try:
        record = read_item_record((folder / RECORD).read_bytes())
    except OSError as exc:
        msg = f"{RECORD} can't be read ({exc.strerror})"
        raise _Unusable(msg) from exc
    except msgspec.MsgspecError as exc:
        msg = f"{RECORD} was changed: {exc}"
        raise _Unusable(msg) from exc
    name = _EXACT if _EXACT in record.sha256 else _SEEN
    picture = _picture(folder / name, record.sha256.get(name, ""))
    return prepare(picture, roi=record.picture.roi, size=size)


def _picture(path: Path, digest: str) -> Picture:
    try:
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            msg = f"{path.name} was changed"
            raise _Unusable(msg)
        return read_image(path) if path.name == _SEEN else _only_frame(path)
    except OSError as exc:
        msg = f"{path.name} can't be read ({exc.strerror})"
        raise _Unusable(msg) from exc
    except SourceError as exc:
        raise _Unusable(str(exc)) from exc


def _only_frame(path: Path) -> Picture:
    reader = VideoReader(path)
    try:
        reading = reader.read()
    finally:
        reader.close()
    if reading is None:
        msg = f"{path.name} holds no frame"
        raise _Unusable(msg)
    return reading.picture


def _find_model(camera: RunCamera, folders: Sequence[Path]) -> Model:
    for folder in folders:
        try:
            if read_manifest(folder).digest == camera.model:
                return load_model(folder)
        except ModelError:
            continue
    msg = (
        f"the run's model {camera.model[:12]} is no longer at {camera.model_path}; "
        "give the folder of a copy: --model DIR"
    )
    raise ModelError(msg)
