"""SGFR on any device: the backbone's features from its extractor, matching pursuit in NumPy.

A batch's numerics run in a thread as soon as the device has its features, while the device works
on other batches, and beside theirs: NumPy lets go of the interpreter in its products, each of which
keeps to one core.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from streamline.errors import InferenceError, StreamlineError
from streamline.infer.protocol import Extractor, Features, Maps, OnDone, Scores
from streamline.sgfr import Judge

__all__ = ["JudgedFeatures", "maps_by", "scores_by"]

Result = TypeVar("Result")

_LARGEST_HALF = float(np.finfo(np.float16).max)


class _Slot(Generic[Result]):
    """What became of one batch."""

    def __init__(self) -> None:
        self.counts: tuple[int, ...] = ()
        self.results: dict[int, Result] = {}
        self.failure: Exception | None = None


class JudgedFeatures(Generic[Result]):
    """An extractor's slots, with something made of each batch's features: see `Requests`.

    Parameters
    ----------
    judges : sequence of callable
        From the features of some frames to their result; one for each head. See `scores_by`
        and `maps_by`.
    open_extractor : callable
        Opens the extractor, to tell the given function what is finished.
    on_done : callable
        Told each slot whose batch has its results.
    """

    def __init__(
        self,
        judges: Sequence[Callable[[Features], Result]],
        open_extractor: Callable[[OnDone], Extractor],
        *,
        on_done: OnDone,
    ) -> None:
        self._judges = judges
        self._on_done = on_done
        self._extractor = open_extractor(self._extracted)
        # As many as there may be batches, so that none waits for another's.
        self._workers = ThreadPoolExecutor(self._extractor.slots, thread_name_prefix="sgfr")
        self._slots: list[_Slot[Result]] = [_Slot() for _ in range(self._extractor.slots)]
        self.height = self._extractor.height
        self.width = self._extractor.width
        self.max_batch = self._extractor.max_batch
        self.slots = self._extractor.slots

    def input(self, slot: int, /) -> npt.NDArray[np.uint8]:
        """Return the slot's buffer to write frames to."""
        return self._extractor.input(slot)

    def start(self, slot: int, /, *counts: int) -> None:
        """Run the first frames of the slot's buffer, so many for each head."""
        self._slots[slot].counts = counts
        self._extractor.start(slot, sum(counts))

    def result(self, slot: int, /, *, head: int = 0) -> Result:
        """Return what a head gave for its frames of the slot's last batch.

        Raises
        ------
        InferenceError
            If the device or the numerics failed on the batch.
        DeviceLostError
            If the device is of no more use.
        """
        failure = self._slots[slot].failure
        if isinstance(failure, StreamlineError):
            raise failure
        if failure is not None:
            msg = f"matching pursuit failed on a batch of frames: {failure}"
            raise InferenceError(msg) from failure
        return self._slots[slot].results.pop(head)

    def close(self) -> None:
        """Wait for what is under way and release the device."""
        self._extractor.close()
        self._workers.shutdown()

    def _extracted(self, slot: int) -> None:
        self._workers.submit(self._judge, slot)

    def _judge(self, index: int) -> None:
        slot = self._slots[index]
        slot.results, slot.failure = {}, None
        try:
            features = self._extractor.result(index)
            ends = list(accumulate(slot.counts))
            for head, (first, end) in enumerate(zip([0, *ends], ends, strict=False)):
                if first < end:
                    share = {name: rows[first:end] for name, rows in features.items()}
                    slot.results[head] = self._judges[head](share)
        except Exception as exc:  # noqa: BLE001 - raised again where the result is asked for
            slot.failure = exc
        # Whatever happened: a batch nobody hears of would be frames without a verdict.
        self._on_done(index)


def scores_by(judge: Judge, /) -> Callable[[Features], Scores]:
    """Make scores of features, as a line takes them."""
    return lambda features: judge.scores(features).astype(np.float32)


def maps_by(judge: Judge, /) -> Callable[[Features], Maps]:
    """Make maps of features, as a line takes them."""
    # Beyond float16's range a place is as bad as can be: no infinity on the wire.
    return lambda features: np.minimum(judge.maps(features), _LARGEST_HALF).astype(np.float16)
