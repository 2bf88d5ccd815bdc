"""The ledgers of a host's workers, mapped for reading as they appear."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from threading import Lock

from streamline.ledger import LedgerView, Sample
from streamline.run.placement import WorkerPlan
from streamline.run.runtime import Runtime

__all__ = ["Views"]


class Views:
    """Every ledger in a line's folder; a restarted worker goes on in the same file.

    The supervisor's loop and the threads that answer HTTP requests look at the same time; such a
    thread may still be at it when the line ends, and learns nothing any more once it is closed.

    Parameters
    ----------
    runtime : Runtime
    heir : bool
        Whether gauges of workers that have died may be set.
    """

    def __init__(self, runtime: Runtime, *, heir: bool = False) -> None:
        self._runtime = runtime
        self._heir = heir
        self._lock = Lock()
        self._views: dict[str, LedgerView] = {}
        self._is_closed = False

    def by_worker(self) -> Mapping[str, LedgerView]:
        """Return what there is by now, for the thread that closes this."""
        with self._lock:
            return dict(self._mapped())

    def samples(self, *, rings: bool = False) -> list[Sample]:
        """Return everything that is counted, for any thread; nothing once this is closed."""
        with self._lock:
            return [s for view in self._mapped().values() for s in view.samples(rings=rings)]

    def is_hidden(self, worker: str) -> bool:
        """Whether a worker has a ledger that can't be mapped for now."""
        return worker not in self.by_worker() and self._runtime.ledger(worker).exists()

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
        """Unmap them, once nobody reads."""
        with self._lock:
            self._is_closed = True
            for view in self._views.values():
                view.close()
            self._views.clear()

    def _mapped(self) -> Mapping[str, LedgerView]:
        # Where there are no descriptors left, what is mapped already still tells.
        with suppress(OSError):
            for worker in () if self._is_closed else self._runtime.workers():
                if worker not in self._views:
                    self._map(worker)
        return self._views

    def _map(self, worker: str) -> None:
        with suppress(OSError):
            self._views[worker] = LedgerView(self._runtime.ledger(worker), heir=self._heir)
