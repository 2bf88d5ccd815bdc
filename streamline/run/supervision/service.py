"""What a line keeps while its configuration changes: who asks, who is told, what was counted."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

from streamline.config import Pipeline
from streamline.ledger import Sample
from streamline.metrics.exporter import merged
from streamline.run.placement import plan
from streamline.run.supervision.herald import Herald
from streamline.run.supervision.request import Request

__all__ = ["Service", "carried_over", "signals"]

_LASTING: Final = frozenset({"counter", "histogram"})
"""Kinds of series that never go back; what the others show is over with their configuration."""


@dataclass(slots=True, kw_only=True)
class Service:
    """One line for as long as its process lives, whatever configurations it has."""

    herald: Herald
    stop: Request = field(default_factory=Request)
    reload: Request = field(default_factory=Request)
    past: Sequence[Sample] = ()
    """What was counted under earlier configurations, of what the present one still has."""


def carried_over(samples: Sequence[Sample], pipeline: Pipeline) -> list[Sample]:
    """Return what has been counted and stays true under another configuration.

    The series of a camera, a sink or a worker go with it.
    """
    known = {
        "camera": set(pipeline.cameras),
        "sink": set(pipeline.alert.by_name),
        "worker": {worker.name for worker in plan(pipeline)},
    }
    lasting = (sample for sample in samples if sample.kind in _LASTING)
    return [
        sample
        for sample in merged(lasting).values()
        if all(value in known.get(label, {value}) for label, value in sample.labels.items())
    ]


@contextmanager
def signals(service: Service, *, reloads: bool) -> Iterator[None]:
    """Turn SIGTERM and SIGINT into a drain, SIGHUP into a reload; give the old handlers back after.

    A terminal that goes away sends SIGHUP too: a line that was started from one ends then.  Where
    it is ignored already, as below ``nohup``, it stays so.
    """

    def request_stop(_signum: int, _frame: FrameType | None) -> None:
        service.stop.make()

    def request_reload(_signum: int, _frame: FrameType | None) -> None:
        service.reload.make()

    wanted = {signal.SIGINT: request_stop, signal.SIGTERM: request_stop}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        wanted[signal.SIGHUP] = request_reload if reloads and _has_no_terminal() else request_stop
    old = {signum: signal.signal(signum, handler) for signum, handler in wanted.items()}
    try:
        yield
    finally:
        for signum, handler in old.items():
            signal.signal(signum, handler)


def _has_no_terminal() -> bool:
    with suppress(OSError), Path("/dev/tty").open("rb"):
        return False
    return True
