"""Progress bars on standard error."""

from types import TracebackType
from typing import Self

from tqdm import tqdm

__all__ = ["Bars"]


class Bars:
    """One bar per kind of work, one after the other; none where nobody watches.

    Parameters
    ----------
    title : str
        Stands before the kind of work.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._what = ""
        self._bar: tqdm[None] | None = None

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Show how far the work has come."""
        if self._bar is None or what != self._what:
            self._close()
            self._what = what
            self._bar = tqdm(desc=f"{self._title}: {what}", total=total, unit="", disable=None)
        if total is not None:
            self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
