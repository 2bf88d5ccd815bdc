"""Frames of a dead source of which only an alert stage on another host knows the fate."""

from collections.abc import Iterable
from typing import Final

from streamline.ledger import Ledger
from streamline.messages import FrameId

__all__ = ["Orphans"]

_MOST: Final = 4096


class Orphans:
    """The frames to ask for, in the ledger until each has its answer: whoever asks may die, too.

    A row is the frame's number, then its incarnation, which makes it valid.
    """

    def __init__(self, ledger: Ledger, camera: str) -> None:
        self._camera = camera
        self._table = ledger.table("source_orphans", 2 * _MOST, camera=camera)
        self._at: dict[FrameId, int] = {}

    def recover(self) -> None:
        """Go on from what a predecessor has left."""
        cells = self._table.get(0, 2 * _MOST)
        rows = enumerate(zip(cells[0::2], cells[1::2], strict=True))
        self._at = {
            FrameId(self._camera, int(incarnation), int(seq)): row
            for row, (seq, incarnation) in rows
            if incarnation
        }

    def add(self, frames: Iterable[FrameId]) -> list[FrameId]:
        """Take frames in, those that are known already included; return what finds no room."""
        taken = set(self._at.values())
        free = (row for row in range(_MOST) if row not in taken)
        rest = []
        for frame in sorted(set(frames) - self._at.keys()):
            row = next(free, None)
            if row is None:
                rest.append(frame)
                continue
            self._table[2 * row] = float(frame.seq)
            self._table[2 * row + 1] = float(frame.incarnation)
            self._at[frame] = row
        return rest

    def remove(self, frame: FrameId) -> None:
        """Forget a frame: its fate is known, and has been counted."""
        self._table[2 * self._at.pop(frame) + 1] = 0.0

    def all(self) -> list[FrameId]:
        """Return the frames that are left, oldest first."""
        return sorted(self._at)
