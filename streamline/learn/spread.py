"""A few frames, evenly spread over a stream whose length nobody knows."""

import numpy as np
import numpy.typing as npt

__all__ = ["Spread"]

Frame = npt.NDArray[np.uint8]


class Spread:
    """Keeps evenly spaced frames of all it is shown: at most `limit`, at least half as many.

    Whenever it is full it lets go of every second frame and from then on takes half as many.
    """

    def __init__(self, limit: int) -> None:
        self.frames: list[Frame] = []
        self._limit = limit
        self._stride = 1
        self._shown = 0

    def wants(self) -> bool:
        """Say whether the next frame will be kept, and count it as shown."""
        wanted = self._shown % self._stride == 0
        self._shown += 1
        return wanted

    def keep(self, frame: Frame) -> None:
        """Keep a frame that was wanted; the caller no longer writes to it."""
        if len(self.frames) == self._limit:
            self.frames = self.frames[::2]
            self._stride *= 2
            if (self._shown - 1) % self._stride:
                return  # With an odd limit, this one falls between the new steps.
        self.frames.append(frame)
