"""What the supervisor tells its workers: the phase of the line, in a mapped file."""

import mmap
import struct
from enum import IntEnum
from pathlib import Path
from typing import Final

__all__ = ["Control", "Phase"]

_STATE: Final = struct.Struct("<q")


class Phase(IntEnum):
    """Where the line is in its life; it only ever goes up."""

    STARTING = 0
    """Everything is being opened; no frame counts yet.  What can't be opened ends the line."""

    RESUMING = 1
    """The same of a line that was killed, or goes back to the pipeline file that it ran with: what
    can't be opened just now is tried again."""

    RUNNING = 2
    DRAINING = 3
    """Sources take no more frames and wait until those in flight have an outcome."""

    FINISHING = 4
    """Nothing is in flight; every stage ends."""

    ABORT = 5
    """Time to drain is over: whatever is in flight is counted as dropped."""


_PHASES: Final = tuple(Phase)


class Control:
    """One supervisor writes, any number of workers read; no locks, no messages to lose.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Control.create(Path(folder) / "control")
    ...     Control(Path(folder) / "control").phase
    <Phase.STARTING: 0>
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _STATE.size)

    @staticmethod
    def create(path: Path, phase: Phase = Phase.STARTING) -> None:
        """Make the file of a line that begins."""
        path.write_bytes(_STATE.pack(phase))

    @property
    def phase(self) -> Phase:
        """The line's phase."""
        phase: int = _STATE.unpack_from(self._map)[0]
        return _PHASES[phase]

    def enter(self, phase: Phase) -> None:
        """Tell every worker; going back is ignored."""
        if phase > self.phase:
            _STATE.pack_into(self._map, 0, phase)
