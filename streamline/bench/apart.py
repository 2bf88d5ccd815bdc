"""A process of its own for work whose processor time, threads and memory must be nobody else's."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from streamline.errors import LineError

__all__ = ["Apart"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Apart:
    """Calls functions in another process, one at a time, while the context is open.

    That process ends with this one, however this one ends.
    """

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(
            target=_serve, args=(theirs,), name="bench-apart", daemon=True
        )
        self._process.start()
        # With the only other end in the child, each side sees the other one's death.
        theirs.close()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pipe.close()
        if kind is not None:
            self._process.kill()
        self._process.join()

    def call(
        self,
        function: Callable[Arguments, Result],
        *args: Arguments.args,
        **options: Arguments.kwargs,
    ) -> Result:
        """Call a function of a module's top level there; return or raise what it does.

        Raises
        ------
        LineError
            If the process dies over it.
        """
        try:
            self._pipe.send((function, args, options))
            done, answer = self._pipe.recv()
        except (EOFError, OSError) as exc:
            self._process.join()
            msg = f"the measuring process ended with exit status {self._process.exitcode}"
            raise LineError(msg) from exc
        if not done:
            raise answer
        return cast("Result", answer)


def _serve(pipe: Connection) -> None:
    # The terminal's Ctrl-C reaches this process too; whoever called decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            function, args, options = pipe.recv()
        except EOFError:
            return
        answer: tuple[bool, Any]
        try:
            answer = True, function(*args, **options)
        except Exception as exc:  # noqa: BLE001 - it belongs to the caller
            answer = False, exc
        try:
            pipe.send(answer)
        except BrokenPipeError:
            return
