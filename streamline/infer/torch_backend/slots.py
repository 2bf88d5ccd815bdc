"""One batch at a time: its buffer, its way to the device and back, and its fate."""

from itertools import accumulate

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamline.errors import DeviceLostError, InferenceError
from streamline.infer.torch_backend.engine import Engine, Outputs
from streamline.infer.torch_backend.processors import Processor, is_lost

__all__ = ["Slot"]


class Slot:
    """Room for one batch.

    Parameters
    ----------
    engine : Engine
        Shared by all slots.
    processor : Processor
        The engine's.
    shape : (n, h, w, 3)
        Of the buffer.
    """

    def __init__(
        self, engine: Engine, processor: Processor, shape: tuple[int, int, int, int]
    ) -> None:
        self._engine = engine
        self._processor = processor
        self._frames = processor.host(shape, torch.uint8).zero_()
        self._staged = processor.staging(self._frames)
        self._copied, self._done = processor.event(), processor.event()
        self.pixels: npt.NDArray[np.uint8] = self._frames.numpy()
        self._ends: list[int] = []
        self._results: list[Outputs | None] = []
        self._failure: Exception | None = None

    def start(self, counts: tuple[int, ...]) -> None:
        """Take the buffer's first frames, so many for each head."""
        self._ends = list(accumulate(counts))

    def try_out(self) -> None:
        """Run a full batch, and raise what goes wrong."""
        self.start((len(self.pixels),))
        self._compute()

    def run(self) -> None:
        """Compute, and wait for the end, good or bad."""
        self._failure = None
        try:
            try:
                self._compute()
            except torch.OutOfMemoryError:
                if not self._engine.save_memory(self._ends[-1]):
                    raise
                self._compute()
        except Exception as exc:  # noqa: BLE001 - raised again where the result is asked for
            # Whatever happened: a batch nobody hears of would be frames without a verdict.
            self._failure = exc

    def _compute(self) -> None:
        """Queue the batch's way to the device, through it and back, and wait for the end of it.

        Others queue theirs meanwhile: their frames are copied while these are computed.
        """
        self._results = []
        count = self._ends[-1]
        with torch.inference_mode():
            with self._processor.copying():
                if self._staged is not self._frames:
                    self._staged[:count].copy_(self._frames[:count], non_blocking=True)
                self._copied.record()
            with self._processor.computing():
                self._copied.wait()
                for given in self._engine.run(self._staged[:count], self._ends):
                    self._results.append(None if given is None else self._fetched(given))
                self._done.record()
            self._done.synchronize()

    def _fetched(self, given: Outputs) -> Outputs:
        """Queue copies of results to the host."""
        return tuple(self._to_host(one) for one in given)

    def _to_host(self, given: Tensor) -> Tensor:
        place = self._processor.host(tuple(given.shape), given.dtype)
        return place.copy_(given, non_blocking=True)

    def output(self, head: int, name: str) -> npt.NDArray[np.generic]:
        """Copy what a head gave by that name, or raise what went wrong."""
        if self._failure is not None:
            raise _reported(self._failure) from self._failure
        results = self._results[head]
        if results is None:
            msg = f"head {head} had no frames in this batch"
            raise ValueError(msg)
        return np.array(results[self._engine.outputs.index(name)].numpy())


def _reported(failure: Exception) -> InferenceError | DeviceLostError:
    reason = (str(failure).strip().splitlines() or [type(failure).__name__])[0].strip()
    if isinstance(failure, torch.OutOfMemoryError):
        msg = f"the device has no memory for a batch, however small: {reason}"
        return DeviceLostError(msg)
    if is_lost(failure):
        msg = f"the device is lost to this process: {reason}"
        return DeviceLostError(msg)
    return InferenceError(f"torch failed on a batch of frames: {reason}")
