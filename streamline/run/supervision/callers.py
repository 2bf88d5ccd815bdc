"""Who is served at the endpoint, and who has to leave so that others can be."""

import ipaddress
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Final

from streamline.clock import monotonic_ns

__all__ = ["Callers"]

_MOST: Final = 32
"""Callers at once."""

_MOST_ALIKE: Final = 8
"""Of them from one place that is not this computer."""


@dataclass(slots=True)
class _Caller:
    place: object
    since_ns: int
    known: bool = False
    """Whether he has asked for something that he may ask for."""

    leaves: bool = False


class Callers:
    """The connections that are open, each for as long as it is used.

    A caller has some time to shake hands and to ask, then the same to take the answer, and again
    for what he asks next.  However slowly he goes on, it begins anew only once he has asked for
    something that he may, and once more when that is answered.  Who comes is let in: where there
    are too many already, or too many from his place, one of them has to leave, those first who
    were not heard to the end yet, of these him who came first.  So nobody can hold the door shut
    for others by being there.

    Parameters
    ----------
    patience_s : float
        What a caller has to ask, and to take the answer, s.
    clock : callable
        Monotonic, ns.
    """

    def __init__(self, patience_s: float, clock: Callable[[], int] = monotonic_ns) -> None:
        self._patience_ns = round(patience_s * 1e9)
        self._clock = clock
        self._here: dict[socket.socket, _Caller] = {}
        # A connection is shut under it, and closed only when it is off the list: by then its number
        # may be another file's.
        self._turn = Lock()

    def come(self, connection: socket.socket, address: str) -> bool:
        """Take a connection in, and say so; False while those who have to leave have not gone.

        Parameters
        ----------
        connection : socket
        address : str
            Its other end's IP address.
        """
        with self._turn:
            if len(self._here) >= 2 * _MOST:
                return False
            place = _place(address)
            staying = [one for one in self._here.items() if not one[1].leaves]
            alike = [one for one in staying if one[1].place == place]
            if place is not None and len(alike) >= _MOST_ALIKE:
                _send_one_away(alike)
            elif len(staying) >= _MOST:
                _send_one_away(staying)
            self._here[connection] = _Caller(place, self._clock())
            return True

    def hear(self, connection: socket.socket) -> None:
        """Let a caller's time begin anew: he asked for what he may, or has got his answer."""
        with self._turn:
            if (caller := self._here.get(connection)) is not None:
                caller.known, caller.since_ns = True, self._clock()

    def sweep(self) -> None:
        """Hang up on those whose time is over."""
        with self._turn:
            now_ns = self._clock()
            for connection, caller in self._here.items():
                if not caller.leaves and now_ns - caller.since_ns > self._patience_ns:
                    _send_away(connection, caller)

    def is_sent_away(self, connection: socket.socket) -> bool:
        """Whether it was hung up from here."""
        with self._turn:
            caller = self._here.get(connection)
            return caller is not None and caller.leaves

    def leave(self, connection: socket.socket) -> None:
        """Forget a connection, which is closed next."""
        with self._turn:
            self._here.pop(connection, None)

    def dismiss(self) -> None:
        """Hear no more requests of those that are here; what is being answered is answered."""
        with self._turn:
            for connection in self._here:
                _shut(connection, socket.SHUT_RD)


def _place(address: str) -> object:
    """Return what one who calls can't easily have many of; None: this computer's own users.

    He who has one address in a network by IPv6 has all that differ in the last 64 bits.
    """
    there = ipaddress.ip_address(address)
    if isinstance(there, ipaddress.IPv6Address) and there.ipv4_mapped is not None:
        there = there.ipv4_mapped
    if there.is_loopback:
        return None
    return there if there.version == 4 else int(there) >> 64


def _send_one_away(callers: Iterable[tuple[socket.socket, _Caller]]) -> None:
    _send_away(*min(callers, key=lambda one: (one[1].known, one[1].since_ns)))


def _send_away(connection: socket.socket, caller: _Caller) -> None:
    caller.leaves = True
    _shut(connection, socket.SHUT_RDWR)


def _shut(connection: socket.socket, how: int) -> None:
    with suppress(OSError):  # It has gone by itself.
        # TLS is passed by: what waits for the other end sees this one's.
        socket.socket.shutdown(connection, how)
