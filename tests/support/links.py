"""Both ends of a link in one test, and a TCP cable between them that can be cut."""

import socket
from contextlib import suppress
from dataclasses import dataclass, field

from streamline.errors import InputError
from streamline.transport.link import Context, Delivery, Inlet, Outlet
from tests.support.ports import free_port
from tests.support.until import until

__all__ = ["Cable", "Line", "Settled", "free_port", "offer", "token_of"]

Settled = list[tuple[int, bytes | None]]


@dataclass
class Line:
    """The ends of one test's links, closed at its end whatever happened."""

    context: Context
    outlets: list[Outlet[int]] = field(default_factory=list)
    inlets: list[Inlet] = field(default_factory=list)

    def outlet(
        self, address: str, *, name: str = "left", depth: int = 100, evict: bool = False
    ) -> Outlet[int]:
        """Start a sender."""
        outlet = Outlet[int](self.context, address, name=name, depth=depth, evict=evict)
        self.outlets.append(outlet)
        return outlet

    def inlet(self, address: str, *, window: int = 4, admit: bool = True) -> Inlet:
        """Start a receiver."""
        inlet = Inlet(self.context, address, window=window)
        self.inlets.append(inlet)
        if admit:
            inlet.admit()
        return inlet

    def restart(self, address: str, *, window: int = 4) -> Inlet:
        """Start a receiver where one has just died: ZeroMQ frees an address a little later."""
        inlets: list[Inlet] = []

        def bind() -> None:
            with suppress(InputError):
                inlets.append(self.inlet(address, window=window))

        until(lambda: bool(inlets), step=bind)
        return inlets[0]

    def kill(self, inlet: Inlet) -> None:
        """End a receiver as a crash would: nothing more is said."""
        self.inlets.remove(inlet)
        inlet.socket.close(linger=0)

    def close(self) -> None:
        """End everything."""
        for outlet in self.outlets:
            outlet.close()
        for inlet in self.inlets:
            inlet.close()


def offer(outlet: Outlet[int], *tokens: int) -> None:
    """Offer messages that say their own token."""
    for token in tokens:
        outlet.offer([str(token).encode(), bytes(1000)], token)


def token_of(delivery: Delivery) -> int:
    """The token that the message says."""
    return int(bytes(delivery.parts[0]))


class Cable:
    """A TCP cable from where senders connect to, to where the receiver listens.

    Parameters
    ----------
    to : address and port
        Where the receiver listens.
    at : address and port
        Where the cable begins; any free port if that is 0.
    """

    def __init__(self, to: tuple[str, int], at: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._to = to
        self._listener = socket.create_server(at)
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._stale: list[socket.socket] = []
        self._late: list[tuple[socket.socket, bytes]] = []
        address, port = self._listener.getsockname()
        self.address = f"tcp://{address}:{port}"
        self.target = f"tcp://{to[0]}:{to[1]}"
        self.forward = self.back = True
        """Whether bytes travel from the sender to the receiver, and back."""

    def carry(self) -> None:
        """Move what can be moved without waiting."""
        self._listener.settimeout(0.001)
        with suppress(TimeoutError):
            self._connect(self._listener.accept()[0])
        for near, far in list(self._pairs):
            alive = not self.forward or _pour(near, far)
            if not (alive and (not self.back or _pour(far, near))):
                near.close()
                far.close()
                self._pairs.remove((near, far))

    def connected(self) -> bool:
        """Whether the ends are connected."""
        return bool(self._pairs)

    def cut(self) -> None:
        """Break every connection; what was on its way is lost."""
        for pair in self._pairs:
            for end in pair:
                end.close()
        self._pairs.clear()
        self.forward = self.back = True

    def cut_at_the_sender(self) -> None:
        """The same, but nobody tells the receiver: it holds the connection for alive.

        What was on its way to it can still arrive (`arrive_late`).
        """
        for near, far in self._pairs:
            with suppress(BlockingIOError, ConnectionError):
                self._late.append((far, near.recv(1 << 20)))
            near.close()
            self._stale.append(far)
        self._pairs.clear()
        self.forward = self.back = True

    def keep_dead(self) -> None:
        """Carry nothing more on the present connections, which nobody closes; new ones work."""
        for pair in self._pairs:
            self._stale.extend(pair)
        self._pairs.clear()
        self.forward = self.back = True

    def arrive_late(self) -> None:
        """Let arrive what was on its way when the sender lost its connection."""
        for far, data in self._late:
            with suppress(OSError):  # The receiver may have closed it meanwhile.
                far.sendall(data)
        self._late.clear()

    def let_go(self) -> None:
        """Let the receiver know at last of those that it held for alive."""
        for end in self._stale:
            end.close()
        self._stale.clear()

    def close(self) -> None:
        """End."""
        self.cut()
        self.let_go()
        self._listener.close()

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self._to)
        except ConnectionRefusedError:
            near.close()
            return
        for end in (near, far):
            end.settimeout(0)
        self._pairs.append((near, far))


def _pour(source: socket.socket, target: socket.socket) -> bool:
    """Move what has come; False if either end has closed."""
    try:
        data = source.recv(1 << 16)
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    if not data:
        return False
    target.settimeout(None)
    try:
        target.sendall(data)
    except ConnectionError:
        return False
    target.settimeout(0)
    return True
