"""The ledgers of a host's workers, mapped for reading as they appear."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock

from streamline.ledger import LedgerView
from streamline.run.placement import WorkerPlan
from streamline.run.runtime import Runtime

__all__ = ["Views"]


class Views:
    """Every ledger in a line's folder; a restarted worker goes on in the same file.

    The supervisor's loop and the threads that answer HTTP requests look at the same time.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = Lock()
        self._views: dict[str, LedgerView] = {}

    def by_worker(self) -> Mapping[str, LedgerView]:
        """Return what there is by now."""
        with self._lock:
            for path in self._runtime.ledgers():
                if path.stem not in self._views:
                    self._views[path.stem] = LedgerView(path)
            return dict(self._views)

    def path(self, worker: str) -> Path:
        """Return the file of a worker's ledger."""
        return self._runtime.ledger(worker)

    def all(self) -> Iterable[LedgerView]:
        """Return what there is by now."""
        return list(self.by_worker().values())

    def told(self, gauge: str, workers: Iterable[WorkerPlan]) -> bool:
        """Whether all of these workers have set a gauge of their own."""
        views = self.by_worker()
        return all(
            worker.name in views and views[worker.name].value(gauge, worker=worker.name)
            for worker in workers
        )

    def close(self) -> None:
        """Unmap them."""
        for view in self._views.values():
            view.close()
        self._views.clear()
