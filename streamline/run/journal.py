"""What has been judged lately, in the ledger: it survives the stage that judged it.

A frame comes again when a stage before alert died and its successor was sent what the dead one
had not answered.  The journal tells a frame that was judged from one that was not, also to an
alert stage that has itself been restarted, so that no frame is judged twice or not at all.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from streamline.ledger import Cell, Ledger, Table
from streamline.messages import Verdict

__all__ = ["REMEMBERED", "Journal", "Judged"]

REMEMBERED: Final = 512
"""Verdicts kept per camera: more than can be in flight without an answer."""

_FIELDS: Final = 6
_VERDICTS: Final = tuple(Verdict)


class Judged(NamedTuple):
    """One verdict as remembered."""

    incarnation: int
    seq: int
    verdict: Verdict
    score: float
    """NaN if there is none."""

    wall_ns: int
    """When the frame was captured, ns since the epoch; to a microsecond."""

    pinned: bool
    """Whether the outcome asked the source to keep the frame."""


class Journal:
    """The latest verdicts of one camera.

    The counter of verdicts is the commit: an entry is written first, then counted.  What is
    counted by verdict follows, and `reconcile` makes up for a death between the two.
    """

    def __init__(self, ledger: Ledger, camera: str) -> None:
        self._count: Cell = ledger.counter("journal_entries", camera=camera)
        self._table: Table = ledger.table("journal", REMEMBERED * _FIELDS, camera=camera)
        self._at: dict[tuple[int, int], int] = {}

    def add(self, entry: Judged) -> None:
        """Remember a verdict: from here on the frame is judged."""
        index = int(self._count.value)
        self._forget(index)
        first = index % REMEMBERED * _FIELDS
        values = (
            entry.incarnation,
            entry.seq,
            _VERDICTS.index(entry.verdict),
            entry.score,
            entry.wall_ns // 1000,
            entry.pinned,
        )
        for offset, value in enumerate(values):
            self._table[first + offset] = float(value)
        self._count.add()
        self._at[entry.incarnation, entry.seq] = index

    def find(self, incarnation: int, seq: int) -> Judged | None:
        """Return what was made of a frame; None if it has not been judged lately."""
        index = self._at.get((incarnation, seq))
        return None if index is None else self._entry(index)

    def entries(self) -> Iterator[Judged]:
        """Yield the remembered verdicts, oldest first."""
        count = int(self._count.value)
        for index in range(max(0, count - REMEMBERED), count):
            yield self._entry(index)

    def recover(self) -> list[Judged]:
        """Go on from what a predecessor has left; return it, oldest first."""
        count = int(self._count.value)
        found = list(self.entries())
        begin = count - len(found)
        self._at = {(e.incarnation, e.seq): begin + i for i, e in enumerate(found)}
        return found

    @property
    def count(self) -> int:
        """Verdicts ever committed."""
        return int(self._count.value)

    def _entry(self, index: int) -> Judged:
        first = index % REMEMBERED * _FIELDS
        incarnation, seq, verdict, score, wall_us, pinned = (
            self._table[first + offset] for offset in range(_FIELDS)
        )
        return Judged(
            int(incarnation),
            int(seq),
            _VERDICTS[int(verdict)],
            score,
            int(wall_us) * 1000,
            bool(pinned),
        )

    def _forget(self, index: int) -> None:
        if index >= REMEMBERED:
            old = self._entry(index - REMEMBERED)
            self._at.pop((old.incarnation, old.seq), None)
