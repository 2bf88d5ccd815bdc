"""The frames that a source holds, written down for whoever must account for them when it dies."""

from collections.abc import Iterable
from typing import Final

from streamline.ledger import Ledger, LedgerView

__all__ = ["HeldFrames", "held_at_death"]

_NAME: Final = "source_held"
_CELLS: Final = 4096
"""More than queues on the way can take of one camera; what is held beyond it is not written."""


class HeldFrames:
    """One camera's frames from their capture until their fate is known.

    Parameters
    ----------
    ledger : Ledger
        Not opened yet.
    camera : str
    """

    def __init__(self, ledger: Ledger, camera: str) -> None:
        self._table = ledger.table(_NAME, _CELLS, camera=camera)
        self._free: list[int] = []
        self._cell_of: dict[int, int] = {}

    def left_over(self, captured: float) -> set[int]:
        """Sequence numbers that a predecessor left, which had captured so many frames."""
        return _read(self._table.get(0, _CELLS), captured)

    def clear(self) -> None:
        """Begin with none."""
        self._table.put(0, [0.0] * _CELLS)
        self._free = list(range(_CELLS))
        self._cell_of = {}

    def add(self, seq: int) -> None:
        """Write a frame down, by its sequence number."""
        if self._free:
            cell = self._cell_of[seq] = self._free.pop()
            self._table[cell] = seq + 1.0

    def remove(self, seq: int) -> None:
        """Let it go."""
        cell = self._cell_of.pop(seq, None)
        if cell is not None:
            self._table[cell] = 0.0
            self._free.append(cell)


def held_at_death(view: LedgerView, camera: str, captured: float) -> set[int]:
    """Sequence numbers that a source of this ledger held, which had captured so many frames."""
    return _read(view.table(_NAME, camera=camera), captured)


def _read(cells: Iterable[float], captured: float) -> set[int]:
    # A number that was written down and not counted was never captured.
    return {int(cell) - 1 for cell in cells if 0 < cell <= captured}
