"""The verdict log and the drop log: what a disk does not take is counted, and they go on after."""

from collections.abc import Sequence
from pathlib import Path

import structlog

from streamline.alert.sinks import CutShortError, JsonLines
from streamline.errors import InputError
from streamline.ledger import Ledger

__all__ = ["LineLog"]

_log = structlog.get_logger("streamline.run")


class LineLog:
    """One log of the line, whose disk may be full or gone for a while.

    Parameters
    ----------
    ledger : Ledger
        Not opened yet.
    name : str
        ``verdicts`` or ``drops``.
    path : Path, optional
        Its file; None: nobody wants it, and nothing is written.
    """

    def __init__(self, ledger: Ledger, name: str, path: Path | None) -> None:
        self._lost = ledger.counter("streamline_log_lines_lost_total", log=name)
        self._name = name
        self._path = path
        self._file: JsonLines | None = None
        self._missing = 0
        """Lines lost since the last one that was written."""

    @property
    def is_wanted(self) -> bool:
        """Whether there is to be a log."""
        return self._path is not None

    def open(self) -> None:
        """Open the file; where nobody does, the first lines do.

        Raises
        ------
        InputError
            If it can't be opened for appending.
        """
        if self._path is not None:
            self._file = JsonLines(self._path)

    def write(self, lines: Sequence[bytes]) -> None:
        """Append lines, each without its line break."""
        if self._path is None or not lines:
            return
        try:
            self._file = self._file or JsonLines(self._path)
            self._file.write(lines)
        except CutShortError as exc:
            self.lose(len(lines) - exc.taken, str(exc))
        except (InputError, OSError) as exc:
            self.lose(len(lines), str(exc))
        else:
            self._come_back()

    def close(self) -> None:
        """Close the file, if it is open."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.close()
        except OSError as exc:  # Some file systems only say now what they did not take.
            _log.error("log may not be whole", log=self._name, why=exc.strerror)

    def lose(self, lines: int, why: str) -> None:
        """Count lines that no disk takes, and say so once for as long as that lasts."""
        if not self._missing:
            _log.error("log can't be written, lines lost are counted", log=self._name, why=why)
        self._missing += lines
        self._lost.add(lines)

    def _come_back(self) -> None:
        if self._missing:
            _log.warning("log is written again", log=self._name, lines_lost=self._missing)
            self._missing = 0
