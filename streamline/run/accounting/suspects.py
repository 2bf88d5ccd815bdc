"""Frames that were at work when a stage died, so that the guilty one is found.

What a stage works on is written down before it starts.  A successor finds there what its
predecessor died with, works on those frames again one at a time, and so learns, should it die
too, which of them it was: that one is set aside.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from streamline.clock import monotonic_ns
from streamline.ledger import Ledger
from streamline.messages import FrameId

__all__ = ["RUNNING", "Suspects"]

_log = structlog.get_logger("streamline.run")

RUNNING: Final = "running"
"""Name of the tables of frames at work."""

_SLOTS: Final = 1024
_FIELDS: Final = 4
_DEATHS: Final = 2
"""Deaths with a frame at work until it is set aside."""

_PATIENCE_NS: Final = 10_000_000_000
"""How long to go carefully for frames that don't come again: their source has dropped them."""


class Suspects:
    """Remembers which frames run, across deaths of the process.

    Parameters
    ----------
    ledger : Ledger
        Of the stage's worker.
    stage : str
        Name of the stage: a worker may have several.
    cameras : sequence of str
        Every camera, always in the same order.
    """

    def __init__(self, ledger: Ledger, stage: str, cameras: Sequence[str]) -> None:
        self._stage = stage
        self._cameras = list(cameras)
        self._table = ledger.table(RUNNING, _SLOTS * _FIELDS, stage=stage)
        self._free = list(range(_SLOTS))
        self._running: dict[FrameId, int] = {}
        self._deaths: dict[FrameId, int] = {}
        self._until_ns = 0

    def recover(self) -> None:
        """Take over what a predecessor was running when it died, and what it suspected."""
        # They stay on record until they are cleared: this process may die before it meets them.
        for slot in range(_SLOTS):
            camera, incarnation, seq, deaths = self._read(slot)
            if camera:
                frame = FrameId(self._cameras[camera - 1], incarnation, seq)
                self._deaths[frame] = deaths
                self._running[frame] = slot
                self._free.remove(slot)
        self._until_ns = monotonic_ns() + _PATIENCE_NS
        if self._deaths:
            _log.warning(
                "going carefully: died with frames at work",
                stage=self._stage,
                frames=len(self._deaths),
            )

    @property
    def careful(self) -> bool:
        """Whether frames must run one at a time: one of them may be deadly."""
        if self._deaths and monotonic_ns() > self._until_ns:
            for frame in list(self._deaths):
                self._clear(frame)
        return bool(self._deaths)

    def is_poison(self, frame: FrameId) -> bool:
        """Whether a frame has been at work at too many deaths."""
        return self._deaths.get(frame, 0) >= _DEATHS

    def start(self, frames: Iterable[FrameId]) -> None:
        """Write down frames before work on them begins: a death now counts against them."""
        for frame in frames:
            if frame in self._deaths:
                self._until_ns = monotonic_ns() + _PATIENCE_NS
            self._note(frame, self._deaths.get(frame, 0) + 1)

    def finish(self, frames: Iterable[FrameId]) -> None:
        """Strike out frames that came through, or were set aside."""
        for frame in frames:
            self._clear(frame)

    def _note(self, frame: FrameId, deaths: int) -> None:
        slot = self._running.get(frame)
        if slot is None:
            if not self._free and self._deaths:
                self._clear(next(iter(self._deaths)))  # Remembered for the longest time.
            if not self._free:
                return  # More frames at once than any device takes.
            slot = self._free.pop()
            self._running[frame] = slot
        self._write(slot, frame, deaths)

    def _clear(self, frame: FrameId) -> None:
        self._deaths.pop(frame, None)
        slot = self._running.pop(frame, None)
        if slot is not None:
            self._write(slot, None, 0)
            self._free.append(slot)

    def _read(self, slot: int) -> tuple[int, int, int, int]:
        first = slot * _FIELDS
        camera, incarnation, seq, deaths = (int(self._table[first + i]) for i in range(_FIELDS))
        return camera, incarnation, seq, deaths

    def _write(self, slot: int, frame: FrameId | None, deaths: int) -> None:
        first = slot * _FIELDS
        # The camera's cell says whether the slot is taken: first to go, last to come.
        self._table[first] = 0.0
        if frame is None:
            return
        self._table[first + 1] = float(frame.incarnation)
        self._table[first + 2] = float(frame.seq)
        self._table[first + 3] = float(deaths)
        self._table[first] = self._cameras.index(frame.camera) + 1.0
