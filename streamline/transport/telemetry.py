"""Ledgers of stages on other hosts, on their way to the line's one exporter."""

import zmq

from streamline.errors import InputError
from streamline.ledger import Sample, decode
from streamline.transport.sockets import Context, prepare

__all__ = ["TelemetryInlet", "TelemetryOutlet"]

_MAX_LEDGER = 64 << 20
_MAX_WORKERS = 1024


class TelemetryOutlet:
    """Sends a worker's whole ledger now and then; counters are cumulative, so loss is harmless."""

    def __init__(self, context: Context, address: str) -> None:
        self._socket = context.socket(zmq.PUSH)
        self._socket.sndhwm = 4
        self._socket.immediate = True
        prepare(self._socket, address)
        self._socket.linger = 200
        self._socket.connect(address)

    def send(self, worker: str, ledger: bytes) -> None:
        """Send if the exporter's host is there, else forget it: the next one says more."""
        try:
            self._socket.send_multipart([worker.encode(), ledger], zmq.NOBLOCK)
        except zmq.Again:
            return

    def close(self) -> None:
        """Send what is queued, then close."""
        self._socket.close()


class TelemetryInlet:
    """Holds the latest ledger of each worker on another host.

    Raises
    ------
    InputError
        If the address can't be bound.
    """

    def __init__(self, context: Context, address: str) -> None:
        self._latest: dict[str, list[Sample]] = {}
        self._socket = context.socket(zmq.PULL)
        self._socket.rcvhwm = 16
        self._socket.maxmsgsize = _MAX_LEDGER
        prepare(self._socket, address)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as exc:
            self._socket.close()
            msg = f"links.telemetry: can't listen on {address}: {exc.strerror}"
            raise InputError(msg) from exc

    def latest(self) -> dict[str, list[Sample]]:
        """Return the newest figures by worker, read without waiting; nonsense is ignored."""
        while self._socket.poll(0):
            parts = self._socket.recv_multipart()
            if len(parts) == 2 and len(parts[0]) < 256:
                self._note(parts[0].decode(errors="replace"), parts[1])
        return self._latest

    def _note(self, worker: str, ledger: bytes) -> None:
        if worker not in self._latest and len(self._latest) >= _MAX_WORKERS:
            return
        try:
            self._latest[worker] = decode(ledger)
        except ValueError:
            return

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
