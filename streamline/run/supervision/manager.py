"""Tell the service manager that started this program how it is, by sd_notify(3)."""

import os
import socket
from collections.abc import MutableMapping
from typing import Final

import structlog

from streamline.clock import monotonic_ns

__all__ = ["ServiceManager"]

_log = structlog.get_logger("streamline.run")

_LONGEST_STATUS: Final = 500
"""Characters; a manager shows one line of it."""


class ServiceManager:
    """The other end of a datagram socket; nobody, where no address is given.

    Nothing here waits or raises: a manager that can't be told must not hold up a line.

    Parameters
    ----------
    address : str
        Path of its socket; with ``@`` first: a name in the abstract namespace; empty: none.
    watchdog_s : float, optional
        It ends this program unless it hears `alive` at least this often, s; None: it does not.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = watchdog_s if address else None
        self._told_of_failure = False
        # Kept: a host without descriptors must not make the manager believe that we are dead.
        self._end: socket.socket | None = None
        if address:
            self._end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._end.settimeout(0)

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> "ServiceManager":
        """Read where it listens, and take that out of the environment of programs started below.

        Parameters
        ----------
        environment : mapping
            With ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``, as systemd sets them.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        limit, pid = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        is_unix = address.startswith(("/", "@"))
        meant = limit.isdecimal() and int(limit) > 0 and pid in {"", str(os.getpid())}
        return cls(address if is_unix else "", int(limit) / 1e6 if meant else None)

    def ready(self, status: str) -> None:
        """Tell that the line is up, or goes on after a reload."""
        self._send("READY=1", _status(status))

    def reloading(self) -> None:
        """Tell that another configuration is being read, until `ready` is told."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """Tell that the line is about to end."""
        self._send("STOPPING=1", _status(status))

    def status(self, status: str) -> None:
        """Tell in words how the line is."""
        self._send(_status(status))

    def alive(self) -> None:
        """Tell that the line gets on."""
        self._send("WATCHDOG=1")

    def close(self) -> None:
        """Tell nothing more."""
        if self._end is not None:
            self._end.close()
            self._end = None

    def _send(self, *assignments: str) -> None:
        if self._end is None:
            return
        try:
            # A status may name a file whose name is no text.
            said = "\n".join(assignments).encode(errors="replace")
            self._end.sendto(said, self._address)
        except OSError as exc:
            if not self._told_of_failure:
                self._told_of_failure = True
                _log.warning("the service manager can't be told", why=exc.strerror)


def _status(text: str) -> str:
    """Return a status as one line, whatever is in it."""
    return "STATUS=" + " ".join(text.split())[:_LONGEST_STATUS]
