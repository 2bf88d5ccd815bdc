"""The line's own graphs over frames at hand: for fit, score and eval.

While the device works on one batch the next frames are read, so decoding and inference
overlap without threads of ours.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import SimpleQueue
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from streamline.backbone import Backbone
from streamline.infer.backend import open_extractor, open_mapper, open_scorer
from streamline.infer.protocol import Compute, Features, Maps, OnDone, Requests, Scores
from streamline.model import Model

__all__ = ["extract_features", "map_frames", "score_frames"]

Frame = npt.NDArray[np.uint8]
Result = TypeVar("Result")


def score_frames(model: Model, frames: Iterable[Frame], /, *, compute: Compute) -> Iterator[Scores]:
    """Score frames in batches, in their order.

    Parameters
    ----------
    frames : iterable of arrays of shape (height, width, 3)
        Prepared frames; not modified.

    Yields
    ------
    array of shape (n,)
        Of the next `compute.max_batch` frames, fewer at the end.

    Raises
    ------
    ValueError
        If a frame has another shape than the model's input.
    """
    return _in_order(lambda on_done: open_scorer([model], compute, on_done=on_done), frames)


def map_frames(model: Model, frames: Iterable[Frame], /, *, compute: Compute) -> Iterator[Maps]:
    """Compute the maps of frames in batches, in their order; see `score_frames`.

    Yields
    ------
    array of shape (n, mh, mw)
        ``mh`` and ``mw`` are `Model.map_shape`.
    """
    return _in_order(lambda on_done: open_mapper([model], compute, on_done=on_done), frames)


def extract_features(
    net: Backbone, layers: Sequence[str], frames: Iterable[Frame], /, *, compute: Compute
) -> Iterator[Features]:
    """Compute the features of frames in batches, in their order.

    Parameters
    ----------
    frames : iterable of arrays of shape (height, width, 3)
        Prepared frames; not modified.

    Yields
    ------
    mapping of layer to array of shape (n, c * h * w)
        Of the next `compute.max_batch` frames, fewer at the end.

    Raises
    ------
    ValueError
        If a frame has another shape than the backbone's input.
    """
    return _in_order(lambda on_done: open_extractor(net, layers, compute, on_done=on_done), frames)


def _in_order(
    open_requests: Callable[[OnDone], Requests[Result]], frames: Iterable[Frame]
) -> Iterator[Result]:
    """Keep all slots busy, give their results in the order of the frames."""
    finished: SimpleQueue[int] = SimpleQueue()
    requests = open_requests(finished.put)
    early: set[int] = set()
    busy: list[int] = []

    def oldest() -> Result:
        slot = busy.pop(0)
        while slot not in early:
            early.add(finished.get())
        early.remove(slot)
        return requests.result(slot)

    try:
        rest = iter(frames)
        turn = 0
        while n := _fill(requests.input(turn), rest):
            requests.start(turn, n)
            busy.append(turn)
            turn = (turn + 1) % requests.slots
            if len(busy) == requests.slots:
                yield oldest()
        while busy:
            yield oldest()
    finally:
        requests.close()


def _fill(buffer: npt.NDArray[np.uint8], frames: Iterator[Frame]) -> int:
    """Copy the next frames into the buffer and return how many there were."""
    n = 0
    for place in buffer:
        frame = next(frames, None)
        if frame is None:
            break
        if frame.shape != place.shape or frame.dtype != np.uint8:
            msg = f"expected a frame of uint8 {place.shape}, got {frame.dtype} {frame.shape}"
            raise ValueError(msg)
        place[:] = frame
        n += 1
    return n
