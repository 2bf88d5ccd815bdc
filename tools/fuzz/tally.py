"""Feed one input after another to what must refuse it in its own words, and count."""

import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

__all__ = ["UNDERWAY", "HangError", "Tally"]

UNDERWAY: Final[ContextVar[Path | None]] = ContextVar("UNDERWAY", default=None)
"""File in which the input that is fed is named: all that is left if the process dies of it."""

_HANG_S: Final = 30.0
"""Nothing that is read takes as long, on a busy machine neither."""

_SHOWN: Final = 5


class HangError(BaseException):
    """An input was not done with in time; nothing that is called may catch it."""


@dataclass(slots=True)
class Tally:
    """One kind of input."""

    name: str
    taken: int = 0
    """Inputs that were sound in spite of all, and did no harm."""

    refused: int = 0
    """Inputs that were refused as they should be."""

    failed: int = 0
    failures: list[str] = field(default_factory=list)
    """The first few of them, each in a line."""

    grown_mb: float = 0.0
    """By how much the largest memory of the process exceeds that before, MB."""

    seconds: float = 0.0

    @property
    def inputs(self) -> int:
        """All of them."""
        return self.taken + self.refused + self.failed

    def feed(
        self, case: Callable[[], object], refusals: tuple[type[Exception], ...], what: str
    ) -> None:
        """Let a case run; all that it may raise is a refusal."""
        file = UNDERWAY.get()
        if file is not None:
            file.write_text(what)
        signal.setitimer(signal.ITIMER_REAL, _HANG_S)
        try:
            case()
        except refusals:
            self.refused += 1
        except HangError:
            self.fail(f"{what}: no end after {_HANG_S:g} s")
        except Exception as exc:  # noqa: BLE001 - that is what is looked for
            self.fail(f"{what}: {type(exc).__name__}: {str(exc)[:200]}")
        else:
            self.taken += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def fail(self, why: str) -> None:
        """Count an input that did harm."""
        self.failed += 1
        if len(self.failures) < _SHOWN:
            self.failures.append(why)

    @contextmanager
    def measured(self) -> Iterator["Tally"]:
        """Watch time and memory while the block runs."""
        before, began_s = _peak_mb(), time.monotonic()
        old = signal.signal(signal.SIGALRM, _hang)
        try:
            yield self
        finally:
            signal.signal(signal.SIGALRM, old)
            self.seconds = time.monotonic() - began_s
            self.grown_mb = _peak_mb() - before


def _hang(_signum: int, _frame: FrameType | None) -> None:
    raise HangError


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
