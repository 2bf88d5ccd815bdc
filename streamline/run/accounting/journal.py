"""What has been judged lately, in the ledger: it survives the stage that judged it.

A frame comes again when a stage before alert died and its successor was sent what the dead one
had not answered.  The journal tells a frame that was judged from one that was not, also to an
alert stage that has itself been restarted, so that no frame is judged twice or not at all.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from streamline.alert.judge import Standing
from streamline.ledger import Cell, Ledger, LedgerView, Table
from streamline.messages import Fault, FrameId, Origin, PinKind, Verdict
from streamline.transport.link import MOST_UNANSWERED

__all__ = ["REMEMBERED", "Journal", "Judged", "commits_in", "judged_in", "since_change"]

REMEMBERED: Final = MOST_UNANSWERED + 12
"""Verdicts kept per camera, more than any link sends after one that has no answer: what may come
again is known, whatever the batches and queues."""

_FIELDS: Final = 16
_VERDICTS: Final = tuple(Verdict)
_FAULTS: Final = (None, *Fault)
_PINS: Final = (None, *PinKind)
_NOBODY: Final = Origin(FrameId("", 0, 0), 0, 0, 0)


class Judged(NamedTuple):
    """One verdict as remembered."""

    incarnation: int
    seq: int
    verdict: Verdict
    score: float
    """NaN if there is none."""

    wall_ns: int
    """When the frame was captured, ns since the epoch; to a microsecond."""

    pin: PinKind | None
    """What the source was asked to keep the frame as."""

    pins: int
    """Frames that it had been asked to keep once this one was judged."""

    skips: int
    """Frames that should have been kept, and too many had come at once."""

    fault: Fault | None
    """Why the verdict is unknown."""

    alerts: int
    """Alerts that had begun once this frame was judged."""

    debounced: int
    merged: int
    """Failed frames without an alert of their own, by why, once this one was judged."""

    alert: Standing | None
    """The alert that was on then; of its origin only the id and the time of day are kept."""


class Journal:
    """The latest verdicts of one camera.

    The counter of entries is the commit: an entry is written first, then counted.  What follows
    from it (counters, the verdict log, alerts told) may be missing when the process dies: the
    successor makes up for the `unsettled` ones.  Alerts that a full disk keeps in memory would die,
    too: their entries stay `undelivered` for as long.
    """

    def __init__(self, ledger: Ledger, camera: str) -> None:
        self._camera = camera
        self._count: Cell = ledger.counter("journal_entries", camera=camera)
        self._settled: Cell = ledger.counter("journal_settled", camera=camera)
        self._delivered: Cell = ledger.counter("journal_delivered", camera=camera)
        self._table: Table = ledger.table("journal", REMEMBERED * _FIELDS, camera=camera)
        self._at: dict[tuple[int, int], int] = {}

    def add(self, entry: Judged) -> None:
        """Remember a verdict: from here on the frame is judged."""
        index = int(self._count.value)
        self._forget(index)
        first = index % REMEMBERED * _FIELDS
        begin, worst = (_NOBODY, math.nan) if entry.alert is None else entry.alert
        values = (
            entry.incarnation,
            entry.seq,
            _VERDICTS.index(entry.verdict),
            entry.score,
            entry.wall_ns // 1000,
            _PINS.index(entry.pin),
            entry.pins,
            entry.skips,
            _FAULTS.index(entry.fault),
            entry.alerts,
            entry.debounced,
            entry.merged,
            begin.id.incarnation,
            begin.id.seq,
            begin.wall_ns // 1000,
            worst,
        )
        self._table.put(first, values)
        self._count.add()
        self._at[entry.incarnation, entry.seq] = index

    def settle(self, *, delivered: bool = True) -> None:
        """Note that everything that follows from the entries so far has been done.

        Parameters
        ----------
        delivered : bool
            Whether their alerts are safe, too.
        """
        self._settled.add(self._count.value - self._settled.value)
        if delivered:
            self._delivered.add(self._count.value - self._delivered.value)

    @property
    def unsettled(self) -> int:
        """How many of the latest entries may not have had all their consequences."""
        return int(self._count.value - self._settled.value)

    @property
    def undelivered(self) -> int:
        """Of how many of the latest entries alerts may be lost: no fewer than are unsettled."""
        return int(self._count.value - self._delivered.value)

    def find(self, incarnation: int, seq: int) -> Judged | None:
        """Return what was made of a frame; None if it has not been judged lately."""
        index = self._at.get((incarnation, seq))
        return None if index is None else self._entry(index)

    def entries(self) -> Iterator[Judged]:
        """Yield the remembered verdicts, oldest first."""
        count = int(self._count.value)
        # The next entry's place, which is the oldest one's, may be half written.
        for index in range(max(0, count - REMEMBERED + 1), count):
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
        cells = self._table.get(first, _FIELDS)
        incarnation, seq, verdict, score, wall_us, pin, pins, skips, fault = cells[:9]
        alerts, debounced, merged = cells[9:12]
        return Judged(
            int(incarnation),
            int(seq),
            _VERDICTS[int(verdict)],
            score,
            int(wall_us) * 1000,
            _PINS[int(pin)],
            int(pins),
            int(skips),
            _FAULTS[int(fault)],
            int(alerts),
            int(debounced),
            int(merged),
            self._standing(*cells[12:]),
        )

    def _standing(
        self, incarnation: float, seq: float, wall_us: float, worst: float
    ) -> Standing | None:
        if not incarnation:
            return None
        frame = FrameId(self._camera, int(incarnation), int(seq))
        return Standing(Origin(frame, 0, int(wall_us) * 1000, 0), worst)

    def _forget(self, index: int) -> None:
        if index >= REMEMBERED:
            # It stood where the new one is going to.
            incarnation, seq = self._table.get(index % REMEMBERED * _FIELDS, 2)
            self._at.pop((int(incarnation), int(seq)), None)


def since_change(entries: Sequence[Judged]) -> list[Verdict]:
    """Verdicts after the last one that began or ended an alert, oldest first."""
    first = len(entries)
    while first and _began(entries[first - 1]) == _began(entries[-1]):
        first -= 1
    # The change itself is not counted towards the next one.
    changed = first > 0 or (bool(entries) and _is_begin(entries[0]))
    return [entry.verdict for entry in entries[first + changed :]]


def _is_begin(entry: Judged) -> bool:
    began = _began(entry)
    return began is not None and (began.incarnation, began.seq) == (entry.incarnation, entry.seq)


def _began(entry: Judged) -> FrameId | None:
    return None if entry.alert is None else entry.alert.begin.id


def judged_in(view: LedgerView, camera: str, incarnation: int) -> set[int]:
    """Numbers of an incarnation's frames that a ledger's journal knows as judged."""
    rows = view.table("journal", camera=camera).reshape(-1, _FIELDS)
    count = int(commits_in(view, camera))
    places = [index % REMEMBERED for index in range(max(0, count - REMEMBERED + 1), count)]
    return {int(rows[i, 1]) for i in places if int(rows[i, 0]) == incarnation}


def commits_in(view: LedgerView, camera: str) -> float:
    """How many frames of a camera a ledger's journal has ever known as judged."""
    return view.value("journal_entries", camera=camera)
