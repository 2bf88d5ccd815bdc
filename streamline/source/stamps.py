"""A camera's own time stamps, held against the times when its frames arrived."""

from streamline.source.base import Reading

__all__ = ["StampWatch"]

_AHEAD_S = 1.0
"""How far ahead of the most timely frame so far a stamp may be: clocks and networks are uneven."""


class StampWatch:
    """Notices where a camera's clock was set: stamps that go back, or ahead of real time.

    A stall, a burst or lost frames do neither: what comes late is behind real time.
    """

    def __init__(self) -> None:
        self._latest_s: float | None = None
        self._ahead_s = 0.0
        """How far the stamps were ahead of this host's clock when a frame was least late."""

    def jump_s(self, reading: Reading) -> float | None:
        """Return by how much a reading's stamp jumped, s; None if it did not.

        Parameters
        ----------
        reading : Reading
            The camera's next; one without a stamp is passed over.
        """
        if reading.pts_s is None:
            return None
        latest_s, self._latest_s = self._latest_s, reading.pts_s
        ahead_s = reading.pts_s - reading.captured_ns / 1e9
        if latest_s is not None:
            went_back = reading.pts_s < latest_s
            if went_back or ahead_s > self._ahead_s + _AHEAD_S:
                jump_s = ahead_s - self._ahead_s
                self._ahead_s = ahead_s
                return jump_s
        self._ahead_s = ahead_s if latest_s is None else max(ahead_s, self._ahead_s)
        return None
