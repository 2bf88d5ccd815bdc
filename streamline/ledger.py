"""Counters that outlive the process which counts: series of float64 cells in a mapped file.

Each worker of a line owns one ledger file and is its only writer, which a lock sees to; the
supervisor and the exporter map it read-only.  An aligned 8-byte store is atomic on every machine
this runs on, so readers need no lock; a histogram read while it is written may be one observation
apart in its sum.  Threads of a worker may count under one name and label set, each in cells of its
own, for adding to a cell is no single step: readers add them up.  float64 counts exactly up to
2**53.  Opening a file that holds the same series goes on from its values: a restarted worker never
makes a counter go backwards.
"""

import fcntl
import json
import math
import mmap
import os
import struct
from array import array
from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from threading import Event
from typing import IO, TYPE_CHECKING, Final, Literal, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from streamline.clock import monotonic_ns
from streamline.errors import InputError

__all__ = [
    "Cell",
    "Floats",
    "Histogram",
    "Kind",
    "Ledger",
    "LedgerView",
    "Ring",
    "Sample",
    "Table",
    "await_writer",
    "begin_again",
    "decode",
    "encode",
    "gauge_sample",
    "quantiles",
]

Kind = Literal["counter", "gauge", "histogram", "ring", "table"]
Floats = npt.NDArray[np.float64]

_MAGIC: Final = b"STRMLDG1"
_PREFIX: Final = struct.Struct("<8sQ")
_CELL: Final = struct.Struct("=d")
_MAX_CELLS: Final = 1 << 26

_LEAVING_NS: Final = 5_000_000_000
"""How long a worker that was killed, or whose line was, may take to be gone."""

_Key = tuple[str, tuple[tuple[str, str], ...]]
_Entry = tuple[Kind, str, list[tuple[str, str]], list[float], int]
_Described = tuple[Kind, str, tuple[tuple[str, str], ...], tuple[float, ...], int]
_read_head = msgspec.json.Decoder(list[_Entry]).decode


if TYPE_CHECKING:
    _View = memoryview[float]  # memoryview can't be subscripted at run time before 3.14
    _Cells = _View | list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """One declared series and where its cells are."""

    kind: Kind
    name: str
    labels: tuple[tuple[str, str], ...]
    bounds: tuple[float, ...]
    cells: int
    first: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One series as read: a copy, unaffected by later writes."""

    kind: Kind
    name: str
    labels: Mapping[str, str]
    bounds: tuple[float, ...]
    """Upper bounds of a histogram's buckets, without +Inf; else empty."""

    values: Floats
    """Counter, gauge: one value.  Histogram: one count per bucket (the last is +Inf), then the
    sum.  Ring: the latest observations, oldest first.  Table: its cells."""


def gauge_sample(name: str, value: float) -> Sample:
    """Return what no ledger holds, as if one did."""
    return Sample(kind="gauge", name=name, labels={}, bounds=(), values=np.array([value]))


class Cell:
    """A counter or a gauge."""

    __slots__ = ("_at", "_cells")

    def __init__(self) -> None:
        self._cells: _Cells = [0.0]
        self._at = 0

    def add(self, amount: float = 1.0) -> None:
        """Count *amount* more."""
        self._cells[self._at] += amount

    def set(self, value: float) -> None:
        """Show *value* from now on."""
        self._cells[self._at] = value

    @property
    def value(self) -> float:
        """What has been counted, or was set last."""
        return float(self._cells[self._at])

    def _bind(self, cells: "_Cells", first: int) -> None:
        self._cells, self._at = cells, first


class Histogram:
    """Counts of observations by upper bound, and their sum."""

    __slots__ = ("_bounds", "_cells", "_first")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._cells: _Cells = [0.0] * (len(bounds) + 2)
        self._first = 0

    def observe(self, value: float) -> None:
        """Count one observation; bounds are inclusive, as Prometheus has them."""
        cells, first = self._cells, self._first
        cells[first + bisect_left(self._bounds, value)] += 1.0
        cells[first + len(self._bounds) + 1] += value

    def _bind(self, cells: "_Cells", first: int) -> None:
        self._cells, self._first = cells, first


class Ring:
    """The latest observations themselves, for exact quantiles over a bounded past."""

    __slots__ = ("_cells", "_first", "_slots")

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._cells: _Cells = [0.0] * (slots + 1)
        self._first = 0

    def push(self, value: float) -> None:
        """Keep *value*, forgetting the oldest if the ring is full."""
        cells, first = self._cells, self._first
        count = cells[first]
        cells[first + 1 + int(count) % self._slots] = value
        cells[first] = count + 1.0

    def _bind(self, cells: "_Cells", first: int) -> None:
        self._cells, self._first = cells, first


class Table:
    """Numbered cells that survive their writer: what a successor or the supervisor goes on from.

    Examples
    --------
    >>> table = Ledger().table("in_flight", 4, camera="left")
    >>> table[2] = 7
    >>> [float(table[i]) for i in range(len(table))]
    [0.0, 0.0, 7.0, 0.0]
    """

    __slots__ = ("_cells", "_first", "_slots")

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._cells: _Cells = [0.0] * slots
        self._first = 0

    def __len__(self) -> int:
        return self._slots

    def __getitem__(self, index: int) -> float:
        return float(self._cells[self._first + index])

    def __setitem__(self, index: int, value: float) -> None:
        self._cells[self._first + index] = value

    def put(self, index: int, values: Sequence[float]) -> None:
        """Write *values* into the cells from *index* on."""
        first = self._first + index
        self._cells[first : first + len(values)] = array("d", values)

    def get(self, index: int, count: int) -> list[float]:
        """Return *count* cells from *index* on."""
        first = self._first + index
        return list(self._cells[first : first + count])

    def _bind(self, cells: "_Cells", first: int) -> None:
        self._cells, self._first = cells, first


_Handle = TypeVar("_Handle", Cell, Histogram, Ring, Table)


class Ledger:
    """Declares series, then writes them into one file; a declared series works before `open` too.

    Examples
    --------
    >>> ledger = Ledger()
    >>> seen = ledger.counter("seen_total", camera="left")
    >>> seen.add(); seen.add(2)
    >>> [(s.name, s.labels["camera"], float(s.values[0])) for s in ledger.samples()]
    [('seen_total', 'left', 3.0)]
    """

    def __init__(self) -> None:
        self._series: list[_Series] = []
        self._names: set[_Key] = set()
        self._handles: list[Cell | Histogram | Ring | Table] = []
        self._cells = 0
        self._map: mmap.mmap | None = None
        self._view: _View | None = None

    def counter(self, name: str, **labels: str) -> Cell:
        """Declare a count that never goes back."""
        return self._declare(Cell(), "counter", name, labels)

    def gauge(self, name: str, **labels: str) -> Cell:
        """Declare a value that is set."""
        return self._declare(Cell(), "gauge", name, labels)

    def histogram(self, name: str, bounds: Sequence[float], **labels: str) -> Histogram:
        """Declare a histogram with increasing upper *bounds*, +Inf not among them."""
        if not all(a < b for a, b in pairwise((-math.inf, *bounds, math.inf))):
            msg = f"bounds of {name} must increase and be finite, got {bounds}"
            raise ValueError(msg)
        return self._declare(Histogram(bounds), "histogram", name, labels, bounds=tuple(bounds))

    def ring(self, name: str, slots: int, **labels: str) -> Ring:
        """Declare a ring that keeps the latest *slots* observations."""
        return self._declare(Ring(slots), "ring", name, labels, cells=slots + 1)

    def table(self, name: str, slots: int, **labels: str) -> Table:
        """Declare a table of *slots* cells."""
        return self._declare(Table(slots), "table", name, labels, cells=slots)

    def _declare(
        self,
        handle: _Handle,
        kind: Kind,
        name: str,
        labels: Mapping[str, str],
        *,
        bounds: tuple[float, ...] = (),
        cells: int = 1,
    ) -> _Handle:
        if self._map is not None:
            msg = f"{name} is declared after the ledger was opened"
            raise RuntimeError(msg)
        key = (name, tuple(labels.items()))
        if kind in {"ring", "table"} and key in self._names:
            msg = f"{kind} {name} {dict(labels)} is declared twice: two of them can't be added up"
            raise ValueError(msg)
        self._names.add(key)
        count = len(bounds) + 2 if kind == "histogram" else cells
        self._series.append(
            _Series(
                kind=kind,
                name=name,
                labels=tuple(labels.items()),
                bounds=bounds,
                cells=count,
                first=self._cells,
            )
        )
        self._handles.append(handle)
        self._cells += count
        return handle

    def open(self, path: Path) -> None:
        """Bind every declared series to *path*; one that holds the same series is continued.

        What was counted before is added to what the file holds.

        Raises
        ------
        ValueError
            If the file holds other series, then it belongs to another pipeline, or not all of them.
        InputError
            If another process writes it.
        OSError
            If the file can't be written.
        """
        head = self._head()
        if not path.exists():
            _create(path, head, self._cells)
        before = [list(handle._cells) for handle in self._handles]  # noqa: SLF001
        with path.open("r+b") as file:
            _claim(file, path)
            # Keeps the lock for as long as the file is mapped.
            self._map = mmap.mmap(file.fileno(), 0)
        whole = len(self._map) == len(head) + 8 * max(self._cells, 1)
        if not whole or self._map[: len(head)] != head:
            self._map.close()
            self._map = None
            msg = f"{path} holds other counters than this pipeline's; remove it"
            raise ValueError(msg)
        self._view = memoryview(self._map)[len(head) :].cast("d")
        for series, handle, values in zip(self._series, self._handles, before, strict=True):
            handle._bind(self._view, series.first)  # noqa: SLF001
            self._carry(series, values)

    def _carry(self, series: _Series, values: Sequence[float]) -> None:
        if self._view is None or series.kind in {"ring", "table"}:
            return
        for i, value in enumerate(values):
            held = self._view[series.first + i]
            self._view[series.first + i] = value if series.kind == "gauge" else held + value

    def samples(self) -> list[Sample]:
        """Every series as it stands now."""
        cells = [x for handle in self._handles for x in _cells_of(handle)]
        source = np.array(self._view if self._view is not None else cells, np.float64)
        return [_sample(series, source) for series in self._series]

    def close(self) -> None:
        """Unmap the file, which stays; the handles count in memory from then on."""
        if self._map is None:
            return
        for series, handle in zip(self._series, self._handles, strict=True):
            span = memoryview(bytearray(8 * series.cells)).cast("d")
            handle._bind(span, 0)  # noqa: SLF001
        if self._view is not None:
            self._view.release()
            self._view = None
        self._map.close()
        self._map = None

    def _head(self) -> bytes:
        """Describe the series: what a reader needs, and what continuing a file depends on."""
        return _head_of((s.kind, s.name, s.labels, s.bounds, s.cells) for s in self._series)


def _head_of(entries: Iterable[_Described]) -> bytes:
    text = json.dumps(list(entries), separators=(",", ":")).encode()
    text += b" " * (-(len(text) + _PREFIX.size) % 8)
    return _PREFIX.pack(_MAGIC, len(text)) + text


def _cells_of(handle: Cell | Histogram | Ring | Table) -> Iterable[float]:
    """Cells of a handle that is not bound to a file yet."""
    return handle._cells  # noqa: SLF001


def _create(path: Path, head: bytes, cells: int) -> None:
    """Make the file whole before anybody can see it under its name."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + 8 * max(cells, 1))
    partial.rename(path)


def _claim(file: IO[bytes], path: Path) -> None:
    """Become a ledger's only writer; InputError if another stays that."""
    deadline_ns, pause = monotonic_ns() + _LEAVING_NS, Event()
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic_ns() >= deadline_ns:
                msg = f"{path}: process {_holder(file)} of a line that was killed still counts "
                msg += "there; end it with kill -KILL, then start again"
                raise InputError(msg) from None
            pause.wait(0.02)
        else:
            return


def _holder(file: IO[bytes]) -> str:
    """Return the id of the process that has locked a file, ? if the kernel does not tell."""
    inode = str(os.fstat(file.fileno()).st_ino)
    locks = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    # Number, kind, two words on how, process, device:device:inode, range.
    held = (one[4] for one in locks if one[1] == "FLOCK" and one[5].split(":")[2] == inode)
    return next(held, "?")


def _sample(series: _Series, cells: Floats) -> Sample:
    values = cells[series.first : series.first + series.cells]
    if series.kind == "ring":
        if not 0 <= values[0] < 2**53:
            msg = f"not a ledger: ring {series.name!r} counts {values[0]} observations"
            raise ValueError(msg)
        slots, count = series.cells - 1, int(values[0])
        kept = values[1:]
        values = kept[:count] if count <= slots else np.roll(kept, -(count % slots))
    return Sample(
        kind=series.kind,
        name=series.name,
        labels=dict(series.labels),
        bounds=series.bounds,
        values=values.copy(),
    )


def _parse(head: bytes) -> Iterator[_Series]:
    first = 0
    for kind, name, labels, bounds, cells in _read_head(head):
        any_number = {"ring": max(cells, 2), "table": max(cells, 1)}
        wanted = {**any_number, "histogram": len(bounds) + 2}.get(kind, 1)
        if cells != wanted or cells > _MAX_CELLS:
            msg = f"{kind} {name!r} of {cells} cells"
            raise ValueError(msg)
        yield _Series(
            kind=kind,
            name=name,
            labels=tuple(labels),
            bounds=tuple(bounds),
            cells=cells,
            first=first,
        )
        first += cells


def _layout(data: bytes | mmap.mmap, most: int = _MAX_CELLS) -> tuple[list[_Series], int]:
    """Return the series of a ledger and where its cells begin; ValueError if it is none."""
    try:
        magic, length = _PREFIX.unpack_from(data)
        start = _PREFIX.size + length
        described = _parse(data[_PREFIX.size : start]) if magic == _MAGIC else ()
        series = list(islice(described, most + 1))
        whole = start + 8 * sum(s.cells for s in series) <= len(data)
    except (struct.error, ValueError, msgspec.MsgspecError) as exc:
        msg = f"not a ledger of {len(data)} bytes: {exc}"
        raise ValueError(msg) from exc
    if len(series) > most:
        msg = f"a ledger of more than {most} series"
        raise ValueError(msg)
    if not series or start % 8 or not whole:
        msg = f"not a whole ledger: {len(data)} bytes that begin with {magic!r}"
        raise ValueError(msg)
    return series, start


def encode(samples: Sequence[Sample]) -> bytes:
    """Return a ledger that holds these counters, gauges and histograms, for others to `decode`."""
    head = _head_of(
        (s.kind, s.name, tuple(s.labels.items()), s.bounds, len(s.values)) for s in samples
    )
    return head + b"".join(sample.values.tobytes() for sample in samples)


def decode(data: bytes, *, most: int = _MAX_CELLS) -> list[Sample]:
    """Read a ledger from the bytes of its file, or from what `encode` returned.

    Raises
    ------
    ValueError
        If the bytes are not a whole ledger, or one of more than *most* series.
    """
    series, start = _layout(data, most)
    cells = np.frombuffer(data, np.float64, sum(s.cells for s in series), start)
    return [_sample(s, cells) for s in series]


class LedgerView:
    """A ledger file mapped for reading, whoever is writing it.

    Parameters
    ----------
    path : Path
    heir : bool
        Whether it may `inherit` from a writer that has died.  Mapped for that beforehand, since
        there may be no descriptor left to open anything with when it dies.

    Raises
    ------
    OSError, ValueError
        If the file is missing or no ledger.
    """

    def __init__(self, path: Path, *, heir: bool = False) -> None:
        access = mmap.ACCESS_WRITE if heir else mmap.ACCESS_READ
        with path.open("r+b" if heir else "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=access)
        self._series, self._start = _layout(self._map)
        self._gauges = {(s.name, s.labels): s.first for s in self._series if s.kind == "gauge"}
        self._single: dict[_Key, list[int]] = {}
        for one in self._series:
            if one.cells == 1:
                self._single.setdefault((one.name, one.labels), []).append(one.first)
        self._tables = {
            (s.name, s.labels): (s.first, s.cells) for s in self._series if s.kind == "table"
        }

    def value(self, name: str, **labels: str) -> float:
        """Return a counter's or gauge's value as it stands now; KeyError if there is none."""
        return self._sum(self._single[name, tuple(labels.items())])

    def reader(self, name: str, **labels: str) -> Callable[[], float]:
        """Return what `value` does in a hurry, for one counter or gauge; KeyError if none."""
        return partial(self._sum, self._single[name, tuple(labels.items())])

    def values(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return all counters or gauges of one name by their labels."""
        return {
            labels: self._sum(cells)
            for (series, labels), cells in self._single.items()
            if series == name
        }

    def _sum(self, cells: Iterable[int]) -> float:
        """Add up what the threads of a worker have counted in cells of their own."""
        total: float = 0.0
        for cell in cells:
            total += _CELL.unpack_from(self._map, self._start + 8 * cell)[0]
        return total

    def samples(self, *, rings: bool = False) -> list[Sample]:
        """Every series as it stands now; rings and tables, which are large, only if asked for."""
        count = sum(s.cells for s in self._series)
        cells = np.frombuffer(self._map, np.float64, count, self._start)
        large = {"ring", "table"}
        return [_sample(s, cells) for s in self._series if rings or s.kind not in large]

    def table(self, name: str, **labels: str) -> Floats:
        """Return a copy of a table as it stands now; KeyError if there is none."""
        first, cells = self._tables[name, tuple(labels.items())]
        view = np.frombuffer(self._map, np.float64, cells, self._start + 8 * first)
        return np.array(view)

    def has_table(self, name: str, **labels: str) -> bool:
        """Whether there is such a table."""
        return (name, tuple(labels.items())) in self._tables

    def tables(self, name: str) -> dict[tuple[tuple[str, str], ...], Floats]:
        """Return copies of all tables of one name by their labels."""
        found = [labels for series, labels in self._tables if series == name]
        return {labels: self.table(name, **dict(labels)) for labels in found}

    def inherit(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge whose writer has died, for whoever has taken over from it.

        Raises
        ------
        KeyError
            If there is no such gauge.
        TypeError
            If this is mapped for reading only.
        """
        first = self._gauges[name, tuple(labels.items())]
        _CELL.pack_into(self._map, self._start + 8 * first, value)

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()


def await_writer(path: Path) -> None:
    """Wait until the process that writes a ledger is gone, if there is one.

    Raises
    ------
    InputError
        If it lives on.
    OSError
        If the file is missing.
    """
    with path.open("r+b") as file:
        _claim(file, path)


def begin_again(path: Path, *, anew: Container[str] = ()) -> None:
    """Set every gauge of a ledger to 0, for a line that goes on where another one stopped.

    Parameters
    ----------
    path : Path
    anew : container of str
        Names of tables to set to 0 as well.

    Raises
    ------
    InputError
        If a worker of the line before lives on and does not end.
    OSError, ValueError
        If the file is missing or no ledger.
    """
    with path.open("r+b") as file:
        _claim(file, path)
        _clear(file, anew)


def _clear(file: IO[bytes], tables: Container[str]) -> None:
    with mmap.mmap(file.fileno(), 0) as cells:
        series, start = _layout(cells)
        for one in series:
            if one.kind == "gauge" or (one.kind == "table" and one.name in tables):
                first, size = start + 8 * one.first, 8 * one.cells
                cells[first : first + size] = bytes(size)


def quantiles(values: Floats, shares: Sequence[float]) -> list[float]:
    """Exact quantiles: for each share q the smallest value that at least ``q·n`` values reach.

    NaN where there is no value.

    Examples
    --------
    >>> quantiles(np.array([4.0, 1.0, 3.0, 2.0]), [0.5, 0.99])
    [2.0, 4.0]
    """
    if not len(values):
        return [math.nan for _ in shares]
    ordered = np.sort(values)
    return [float(ordered[max(0, math.ceil(q * len(ordered)) - 1)]) for q in shares]
