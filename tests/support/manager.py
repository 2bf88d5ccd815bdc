"""A service manager's end of the socket on which it is told how a program is."""

import socket
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

from tests.support.line import eventually

__all__ = ["Listener"]


class Listener:
    """Takes down every datagram, in order.

    Parameters
    ----------
    address : str
        A path, or with ``@`` first a name in the abstract namespace.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[list[str]] = []
        """The lines of each message."""

        self._end = Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        abstract = self.address.startswith("@")
        self._socket.bind("\0" + self.address[1:] if abstract else self.address)
        self._socket.settimeout(0.05)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()
        self._socket.close()
        if not self.address.startswith("@"):
            Path(self.address).unlink()

    def _listen(self) -> None:
        while not self._end.is_set():
            try:
                self.heard.append(self._socket.recv(8192).decode().split("\n"))
            except TimeoutError:
                continue

    def await_message(self, wanted: Callable[[list[str]], bool], what: str, after: int = 0) -> int:
        """Wait for a message; return how many have been heard up to it."""
        eventually(lambda: any(map(wanted, self.heard[after:])), what)
        return after + 1 + next(i for i, one in enumerate(self.heard[after:]) if wanted(one))

    def status(self) -> str:
        """What was told last in words."""
        told = [line for one in self.heard for line in one if line.startswith("STATUS=")]
        return told[-1].removeprefix("STATUS=") if told else ""
