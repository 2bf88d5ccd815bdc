"""Ledgers of stages on other hosts, on their way to the line's one exporter."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Final, NamedTuple

import msgspec
import zmq

from streamline.clock import monotonic_ns, wall_ns
from streamline.errors import InputError
from streamline.ledger import Sample, decode, encode
from streamline.transport.curve import Door, Knocker, Lock
from streamline.transport.protocol import NONSENSE
from streamline.transport.refusals import Refusals
from streamline.transport.sockets import Context, prepare

__all__ = ["GONE_NS", "Sift", "TelemetryInlet", "TelemetryOutlet", "Told"]

_MAX_LEDGER: Final = 2 << 20
_MAX_SERIES: Final = 1 << 13
"""Of one worker: with 64 cameras, the most that share a process, it has 7000, of 100 bytes each."""

_MAX_HEAD: Final = 1024
_MAX_WORKERS: Final = 1024

_MAX_HELD: Final = 1 << 16
"""Series of all workers on other hosts together: some 50 MB."""

_AT_ONCE_NS: Final = 200_000_000
"""Who floods an inlet keeps the line's supervisor from its other work for no longer at a time."""

GONE_NS: Final = 5_000_000_000
"""A worker whose figures have not come for so long is taken for gone: they come every second."""

Sift = Callable[[Iterable[Sample]], tuple[list[Sample], str | None]]
"""Returns the series of a ledger that are believed, and what is wrong with the first that is
not."""

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

    def send(self, worker: str, samples: Sequence[Sample]) -> None:
        """Send if the exporter's host is there, else forget it: the next one says more.

        Parameters
        ----------
        worker : str
        samples : sequence of Sample
            Its counters, gauges and histograms.
        """
        head = _encode(_Head(self._part, worker, wall_ns()))
        try:
            self._socket.send_multipart([head, encode(samples)], zmq.NOBLOCK)
        except zmq.Again:
            if self._knocker is not None:
                self._knocker.knock_if_due()

    def close(self) -> None:
        """Send what is queued, then close."""
        self._socket.close()


class TelemetryInlet:
    """Holds the latest figures of each worker on another host, as far as they are believed.

    Parameters
    ----------
    context : zmq.Context
    address : str
        Where to listen.
    sift : callable
        Takes out what is not believed.
    refusals : Refusals
        Told of each message that can't be read, or of which not all is believed.
    door : Door, optional
        Of a link from other hosts.

    Raises
    ------
    InputError
        If the address can't be bound.
    """

    def __init__(
        self,
        context: Context,
        address: str,
        *,
        sift: Sift,
        refusals: Refusals,
        door: Door | None = None,
    ) -> None:
        self._sift = sift
        self._refusals = refusals
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
        """Return the newest figures by part and worker, read without waiting."""
        until_ns = monotonic_ns() + _AT_ONCE_NS
        while self._socket.poll(0):
            self._note(self._socket.recv_multipart())
            if monotonic_ns() >= until_ns:
                break
        return dict(self._latest)

    def _note(self, parts: Sequence[bytes]) -> None:
        try:
            head, samples = _read(parts)
        except NONSENSE as exc:
            self._refusals.note("?", str(exc))
            return
        samples, doubt = self._sift(samples)
        key = (head.part, head.worker)
        if not self._has_room(key, len(samples)):
            doubt = f"more than {_MAX_WORKERS} workers, or {_MAX_HELD} series of all of them"
        else:
            ahead_s = (wall_ns() - head.wall_ns) / 1e9
            self._latest[key] = Told([_shifted(s, ahead_s) for s in samples], monotonic_ns())
        if doubt is not None:
            self._refusals.note(head.worker, doubt)

    def _has_room(self, key: tuple[str, str], count: int) -> bool:
        """Whether a worker's series can be held; those of one long gone may be forgotten."""
        others = {one: told for one, told in self._latest.items() if one != key}
        while True:
            held = sum(len(told.samples) for told in others.values())
            if len(others) < _MAX_WORKERS and held + count <= _MAX_HELD:
                return True
            oldest = min(others, key=lambda one: others[one].heard_ns)
            if monotonic_ns() - others[oldest].heard_ns <= GONE_NS:
                return False
            del others[oldest], self._latest[oldest]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _read(parts: Sequence[bytes]) -> tuple[_Head, list[Sample]]:
    """Read a message; what bytes that may be anything raise is in `NONSENSE`."""
    if len(parts) != 2 or len(parts[0]) > _MAX_HEAD:
        msg = f"{len(parts)} parts, of {len(parts[0])} bytes the first"
        raise ValueError(msg)
    return _decode_head(parts[0]), decode(parts[1], most=_MAX_SERIES)


def _shifted(sample: Sample, ahead_s: float) -> Sample:
    """Put a time stamp on this host's time of day; 0 stands for never."""
    if not sample.name.endswith("_timestamp_seconds") or not sample.values[0]:
        return sample
    return replace(sample, values=sample.values + ahead_s)
