"""Something may be asked for at any moment, by the waiting thread's own signal handler."""

import sys
import time
from collections.abc import Callable
from threading import Event, Thread
from types import FrameType
from typing import Any

from streamline.run.supervision.request import Request


class AtStep:
    """Traces a call, and interrupts it once: before its step number *step*, as a signal would."""

    def __init__(self, step: int, interrupt: Callable[[], None]) -> None:
        self.left = step
        self._interrupt = interrupt

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 - a trace function's
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == -1:
                sys.settrace(None)
                self._interrupt()
        return self

    def run(self, call: Callable[[], object]) -> None:
        """Call, traced."""
        sys.settrace(self)
        call()
        sys.settrace(None)


def steps_survived(
    make: Callable[[], Any], ask: Callable[[Any], None], *, wait_s: float
) -> tuple[int, bool]:
    """Ask during a wait, at each of its steps in turn; say how many came back, and whether all."""
    step = 0
    while True:
        one = make()
        traced = AtStep(step, lambda: ask(one))  # noqa: B023 - called in this round only
        thread = Thread(target=traced.run, args=(lambda: one.wait(wait_s),), daemon=True)  # noqa: B023
        thread.start()
        thread.join(5)
        if thread.is_alive():
            return step, False
        if traced.left >= 0:
            return step, True
        step += 1


def test_a_request_at_any_step_of_the_wait_lets_it_return() -> None:
    steps, all_of_them = steps_survived(Request, Request.make, wait_s=0.001)
    assert all_of_them
    assert steps > 10


def test_an_event_would_not_do() -> None:
    """What the check above is there for happens, and is seen."""
    _, all_of_them = steps_survived(Event, Event.set, wait_s=0.001)
    assert not all_of_them


def test_what_was_asked_stays_asked() -> None:
    stop = Request()
    assert not stop.made
    stop.make()
    stop.make()
    for _ in range(3):
        since = time.monotonic()
        stop.wait(60)
        assert time.monotonic() - since < 30
        assert stop.made


def test_a_wait_ends_without_being_asked() -> None:
    stop = Request()
    stop.wait(0.01)
    assert not stop.made


def test_a_request_that_is_taken_is_no_longer_made() -> None:
    reload = Request()
    assert not reload.take()
    reload.make()
    reload.make()
    assert reload.take()
    assert not reload.made
    assert not reload.take()
