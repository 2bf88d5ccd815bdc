"""Frames of a source that died: once the supervisor has counted them, their fate is decided.

The supervisor sets a camera's fence to the incarnation that is gone; once the stages that judge
or drop frames have shown that they saw the fence, the set of judged and dropped frames of that
incarnation is final, and what is missing from it is what died.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from streamline.ledger import Cell, Ledger, LedgerView
from streamline.messages import FrameId

__all__ = ["SUPERVISOR", "FenceCells", "Fences", "have_seen"]

SUPERVISOR = "supervisor"
"""Name of the supervisor's own ledger."""


class FenceCells:
    """The supervisor's side: one cell per camera, and one that says that something changed."""

    def __init__(self, ledger: Ledger, cameras: Iterable[str]) -> None:
        self._changes: Cell = ledger.gauge("fence_changes")
        self._cells = {name: ledger.gauge("fence", camera=name) for name in cameras}

    def put(self, camera: str, incarnation: int) -> None:
        """Exclude every frame of *camera* up to this incarnation."""
        self._cells[camera].set(float(incarnation))
        self._changes.add()

    def all(self) -> dict[str, int]:
        """Every camera's fence, 0 if it has none."""
        return {name: int(cell.value) for name, cell in self._cells.items()}


class Fences:
    """The side of a stage that decides frames' fate: judges or drops them.

    Parameters
    ----------
    supervisor : Path
        File of the supervisor's ledger, which is looked at.
    ledger : Ledger
        The stage's own, in which it shows what it has seen.
    stage : str
    cameras : iterable of str
    """

    def __init__(
        self, supervisor: Path, ledger: Ledger, stage: str, cameras: Iterable[str]
    ) -> None:
        self._path = supervisor
        self._view: LedgerView | None = None
        self._latest: Callable[[], float]
        self._changes = 0.0
        self._fence = dict.fromkeys(cameras, 0)
        self._seen = {
            name: ledger.gauge("fence_seen", camera=name, stage=stage) for name in self._fence
        }

    def watch(self) -> None:
        """Look for new fences, and show that they have been seen."""
        if self._view is None:
            self._view = LedgerView(self._path)
            self._latest = self._view.reader("fence_changes")
        changes = self._latest()
        if changes == self._changes:
            return
        self._changes = changes
        for name in self._fence:
            self._fence[name] = int(self._view.value("fence", camera=name))
            self._seen[name].set(float(self._fence[name]))

    def excludes(self, frame: FrameId) -> bool:
        """Whether a frame's source is gone and its frames are counted."""
        return frame.incarnation <= self._fence[frame.camera]


def have_seen(view: LedgerView, camera: str, fence: int) -> bool:
    """Whether every stage of a worker that decides frames' fate has seen a fence."""
    return all(
        seen >= fence
        for labels, seen in view.values("fence_seen").items()
        if ("camera", camera) in labels
    )
