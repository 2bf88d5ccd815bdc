"""What ``streamline bench paper`` measured last, beside what a line does now."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog

__all__ = ["BenchFile", "Row"]

_log = structlog.get_logger("streamline.metrics")

_LARGEST: Final = 1 << 20
"""Bytes of such a file: what is larger is none."""


class Row(NamedTuple):
    """One way to judge, and how fast it is."""

    row: str
    fps: float
    """Frames judged per second."""

    fit_s: float
    """What it takes to learn a product, s."""


class _Layer(msgspec.Struct):
    layer: str
    precision: str
    fps: float
    pca_s: float


class _System(msgspec.Struct):
    name: str
    fps: dict[str, float]
    training_s: dict[str, float]


class _Published(msgspec.Struct):
    systems: list[_System]


class _Result(msgspec.Struct):
    """The part of the figures that is exported."""

    layers: list[_Layer]
    published: _Published


class BenchFile:
    """A file of ``streamline bench paper --json``, read again whenever it has changed.

    Parameters
    ----------
    path : Path
        It need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._rows: tuple[Row, ...] = ()

    def rows(self) -> tuple[Row, ...]:
        """Return what was measured here, then what the paper printed; none without such a file."""
        try:
            found = self._path.stat()
        except OSError:
            self._stamp, self._rows = None, ()
            return ()
        stamp = found.st_mtime_ns, found.st_size
        if stamp != self._stamp:
            self._stamp, self._rows = stamp, self._read(found.st_size)
        return self._rows

    @property
    def written_s(self) -> float:
        """When the file that `rows` read was written, s since the epoch; 0 without one."""
        return 0.0 if self._stamp is None else self._stamp[0] / 1e9

    def _read(self, size: int) -> tuple[Row, ...]:
        try:
            data = self._path.read_bytes() if size <= _LARGEST else b""
            return tuple(_rows_of(msgspec.json.decode(data, type=_Result)))
        except (OSError, msgspec.MsgspecError) as exc:
            cure = "write it with: streamline bench paper --json FILE"
            _log.warning("metrics.bench can't be read", file=str(self._path), why=str(exc), do=cure)
            return ()


def _rows_of(result: _Result) -> Iterator[Row]:
    for one in result.layers:
        yield Row(f"here: FRE, {one.layer}, {one.precision}", one.fps, one.pca_s)
    for system in result.published.systems:
        for method, fps in system.fps.items():
            # The paper learns FRE in two ways; here it is learnt in one of them.
            learning = system.training_s.get("FRE-PCA" if method == "FRE" else method, 0.0)
            yield Row(f"paper: {method}, {system.name}", fps, learning)
