"""Lines of the drop log that the dead did not come to write."""

from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Final

from streamline.ledger import Ledger
from streamline.messages import Dropped, FrameId
from streamline.run.accounting.fates import drop_line, logged_lately
from streamline.run.accounting.logs import LineLog

__all__ = ["BelatedLines"]

_CLOSE_S: Final = 5.0
"""How long a disk may take for what waits when the line ends."""


class BelatedLines:
    """Completes the drop log in a thread of its own.

    The supervisor must not wait for a disk: while it does, nobody who dies is started again, and
    its service manager takes the whole line for dead.

    Parameters
    ----------
    ledger : Ledger
        Not opened yet.
    path : Path, optional
        The log; None: nobody wants it.
    """

    def __init__(self, ledger: Ledger, path: Path | None) -> None:
        self._log = LineLog(ledger, "drops", path)
        self._queue: SimpleQueue[Mapping[FrameId, Dropped] | None] = SimpleQueue()
        # Frames that were given, and done with: each is counted by one thread alone.
        self._given = self._done = 0
        self._thread: Thread | None = None
        if path is not None:  # Now: later there may be no memory left for it.
            self._thread = Thread(target=self._work, args=(path,), name="belated", daemon=True)
            self._thread.start()

    def write(self, drops: Mapping[FrameId, Dropped]) -> None:
        """Append a line for each of these frames that the log does not name yet."""
        if self._thread is not None and drops:
            self._given += len(drops)
            self._queue.put(drops)

    def close(self) -> None:
        """Write what waits, and end; what no disk takes in time is counted as lost."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._queue.put(None)
        thread.join(_CLOSE_S)
        if thread.is_alive():
            self._log.lose(self._given - self._done, "the disk does not answer")

    def _work(self, path: Path) -> None:
        while (found := self._queue.get()) is not None:
            # A dead source, or a supervisor that was killed itself, may have written some of them.
            missing = sorted(found.keys() - logged_lately(path))
            self._log.write([drop_line(frame, found[frame]) for frame in missing])
            self._log.close()
            self._done += len(found)
