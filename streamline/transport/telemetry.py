"""Ledgers of stages on other hosts, on their way to the line's one exporter."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Final, NamedTuple

import msgspec
import zmq

from streamline.clock import monotonic_ns, wall_ns
from streamline.errors import InputError
from streamline.ledger import Sample, decode
from streamline.transport.curve import Door, Knocker, Lock
from streamline.transport.protocol import NONSENSE
from streamline.transport.sockets import Context, prepare

__all__ = ["GONE_NS", "TelemetryInlet", "TelemetryOutlet", "Told"]

_MAX_LEDGER = 64 << 20
_MAX_HEAD = 1024
_MAX_WORKERS = 1024

GONE_NS: Final = 5_000_000_000
"""A worker whose figures have not come for so long is taken for gone: they come every second."""

_Name = Annotated[str, msgspec.Meta(max_length=256)]


class _Head(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    part: _Name
    worker: _Name
    wall_ns: Annotated[int, msgspec.Meta(ge=0, le=2**62)]
    """When it was sent, by the time of day there."""


_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(_Head).decode


class Told(NamedTuple):
    """The latest figures of a worker on another host."""

    samples: list[Sample]
    """Time stamps among them are by this host's time of day."""

    heard_ns: int
    """When they came, on this host's clock."""


class TelemetryOutlet:
    """Sends a worker's whole ledger now and then; counters are cumulative, so loss is harmless.

    Parameters
    ----------
    context : zmq.Context
    address : str
    part : str
        Tells the workers of this part of the line from those of the others, whatever their names:
        each part has a supervisor.
    lock : Lock, optional
        Of a link to another host.
    """

    def __init__(
        self, context: Context, address: str, part: str, *, lock: Lock | None = None
    ) -> None:
        self._part = part
        self._socket = context.socket(zmq.PUSH)
        self._socket.sndhwm = 4
        self._socket.immediate = True
        prepare(self._socket, address)
        self._socket.linger = 200
        if lock is not None:
            lock.fit(self._socket)
        self._knocker = None if lock is None else Knocker(self._socket, address)
        self._socket.connect(address)

    def send(self, worker: str, ledger: bytes) -> None:
        """Send if the exporter's host is there, else forget it: the next one says more."""
        head = _encode(_Head(self._part, worker, wall_ns()))
        try:
            self._socket.send_multipart([head, ledger], zmq.NOBLOCK)
        except zmq.Again:
            if self._knocker is not None:
                self._knocker.knock_if_due()

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

    def __init__(self, context: Context, address: str, *, door: Door | None = None) -> None:
        self._latest: dict[tuple[str, str], Told] = {}
        self._socket = context.socket(zmq.PULL)
        self._socket.rcvhwm = 16
        self._socket.maxmsgsize = _MAX_LEDGER
        prepare(self._socket, address)
        if door is not None:
            door.fit(self._socket)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as exc:
            self._socket.close()
            msg = f"links.telemetry: can't listen on {address}: {exc.strerror}"
            raise InputError(msg) from exc

    def latest(self) -> dict[tuple[str, str], Told]:
        """Return the newest figures by part and worker, read without waiting.

        Nonsense is ignored.
        """
        while self._socket.poll(0):
            self._note(self._socket.recv_multipart())
        return dict(self._latest)

    def _note(self, parts: Sequence[bytes]) -> None:
        if len(parts) != 2 or len(parts[0]) > _MAX_HEAD:
            return
        try:
            head, samples = _decode_head(parts[0]), decode(parts[1])
        except NONSENSE:
            return
        key = (head.part, head.worker)
        if key in self._latest or self._has_room():
            ahead_s = (wall_ns() - head.wall_ns) / 1e9
            self._latest[key] = Told([_shifted(s, ahead_s) for s in samples], monotonic_ns())

    def _has_room(self) -> bool:
        """Whether one more worker is followed; one that has gone long since may be forgotten."""
        if len(self._latest) < _MAX_WORKERS:
            return True
        oldest = min(self._latest, key=lambda key: self._latest[key].heard_ns)
        if monotonic_ns() - self._latest[oldest].heard_ns <= GONE_NS:
            return False
        del self._latest[oldest]
        return True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _shifted(sample: Sample, ahead_s: float) -> Sample:
    """Put a time stamp on this host's time of day; 0 stands for never."""
    if not sample.name.endswith("_timestamp_seconds") or not sample.values[0]:
        return sample
    return replace(sample, values=sample.values + ahead_s)
