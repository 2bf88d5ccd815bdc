"""Waiting for something that happens in another thread, process or socket."""

from collections.abc import Callable
from threading import Event
from time import monotonic

__all__ = ["until"]


def until(
    happened: Callable[[], bool],
    *,
    step: Callable[[], object] | None = None,
    limit_s: float = 30.0,
) -> None:
    """Call *step* and look again until it has *happened*; fail after a generous limit."""
    pause = Event()
    deadline_s = monotonic() + limit_s
    while not happened():
        assert monotonic() < deadline_s, f"did not happen within {limit_s:g} s"
        if step is not None:
            step()
        pause.wait(0.002)
