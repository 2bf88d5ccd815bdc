"""Stands between a camera and its reader, and loses and damages packets of the stream."""

import random
import socket
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

__all__ = ["RtspProxy"]

_HEADER: Final = 4
_SPARED: Final = 16
"""Bytes at the head of a packet that stay: RTP's own, and what names a part of a picture."""


class RtspProxy:
    """Carries RTSP over TCP; server's packets as it is told to.

    Parameters
    ----------
    to : int
        Port of the server on this host.
    seed : int
        Of what is lost and damaged.
    """

    def __init__(self, to: int, *, seed: int = 0) -> None:
        self.lost = 0.0
        """Share of packets that are not passed on."""

        self.damaged = 0.0
        """Share of packets in which bytes are flipped."""

        self._to = to
        self._random = random.Random(seed)  # noqa: S311 - damage that can be done again
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ended = Event()
        self._ends: list[socket.socket] = []
        self._thread = Thread(target=self._accept, daemon=True)

    @property
    def url(self) -> str:
        """Where the stream is read through it."""
        return f"rtsp://127.0.0.1:{self._listener.getsockname()[1]}/stream"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._ends:
            _close(end)
        self._thread.join()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                _close(near)
                continue
            self._ends += [near, far]
            Thread(target=self._ask, args=(near, far), daemon=True).start()
            Thread(target=self._answer, args=(far, near), daemon=True).start()

    def _ask(self, near: socket.socket, far: socket.socket) -> None:
        """Pass on what the reader says, as it is."""
        with suppress(OSError):
            while data := near.recv(1 << 16):
                far.sendall(data)
        _close(near)
        _close(far)

    def _answer(self, far: socket.socket, near: socket.socket) -> None:
        """Pass on what the server says: words as they are, packets as it comes."""
        with suppress(OSError, ValueError), far.makefile("rb") as stream:
            while first := stream.read(1):
                if first == b"$":
                    header = first + stream.read(_HEADER - 1)
                    if len(header) < _HEADER:
                        break  # Who sent it has died within.
                    near.sendall(self._treated(header, stream.read(int.from_bytes(header[2:]))))
                else:
                    near.sendall(first + stream.readline())
        _close(near)
        _close(far)

    def _treated(self, header: bytes, packet: bytes) -> bytes:
        """Return what becomes of a packet; even channels are of pictures, odd ones of reports."""
        if header[1] % 2 or self._random.random() >= self.lost + self.damaged:
            return header + packet
        if self._random.random() * (self.lost + self.damaged) < self.lost:
            return b""
        data = bytearray(packet)
        for _ in range(8):
            if len(data) > _SPARED:
                data[self._random.randrange(_SPARED, len(data))] ^= 0xFF
        return header + data


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
