"""HTTP requests to a real endpoint, over sockets."""

import random
import socket
import urllib.request
from contextlib import suppress
from typing import Final

from structlog.testing import capture_logs

from streamline.ledger import Ledger
from streamline.metrics.exporter import Exporter, FrameRates
from streamline.run.supervision.health import Health
from streamline.run.supervision.http import Endpoint
from tools.fuzz.mutation import mutated
from tools.fuzz.tally import Tally

__all__ = ["fuzz_requests"]

_SOUND: Final = (
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"HEAD /readyz?x=1 HTTP/1.0\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nAuthorization: Bearer abc\r\nAccept-Encoding: gzip\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    b"GET /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
)

_ANSWER_S: Final = 8.0
_SILENT: Final = 8
"""Clients that begin a request and say nothing more, meanwhile."""


def fuzz_requests(count: int, seed: int) -> Tally:
    """Send mutated requests, each over a connection of its own, and see that others are served."""
    chance = random.Random(seed)  # noqa: S311 - the same again from one seed
    ledger = Ledger()
    ledger.counter("streamline_alerts_total", camera="left").add(2)
    health = Health(healthy=True, ready=True, judged=True, stuck=(), body={})
    endpoint = Endpoint("127.0.0.1", 0, Exporter(ledger.samples, FrameRates(), {}), lambda: health)
    port = int(endpoint.url.rpartition(":")[2])
    with capture_logs() as told, Tally("HTTP requests").measured() as tally:
        silent = [_connected(port, b"GET /metr") for _ in range(_SILENT)]
        for number in range(count):
            request = mutated(chance.choice(_SOUND), chance)
            tally.feed(lambda: _ask(port, request), (_RefusedError,), f"request {number}")  # noqa: B023
            if number % 100 == 99:
                tally.feed(lambda: _is_served(endpoint.url), (), f"served after {number}")
        for one in silent:
            one.close()
    endpoint.close()
    for entry in told:
        tally.fail(f"the log says: {entry['event']}: {entry.get('exc_info')!r}")
    return tally


class _RefusedError(Exception):
    """The answer was one that refuses, or none."""


def _connected(port: int, data: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S)
    connection.sendall(data)
    return connection


def _ask(port: int, request: bytes) -> None:
    """Send bytes and read to the end of what comes back."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S) as connection:
        # It may hang up before it has heard all: that is an answer too.
        with suppress(OSError):
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while data := connection.recv(1 << 16):
                answer += data
    if b"Traceback" in answer:
        msg = f"a traceback in the answer: {answer[:200]!r}"
        raise ValueError(msg)
    if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
        raise _RefusedError


def _is_served(url: str) -> None:
    with urllib.request.urlopen(f"{url}/metrics", timeout=_ANSWER_S) as answer:  # noqa: S310 - ours
        if b"streamline_alerts_total" not in answer.read():
            msg = "the figures are not served any more"
            raise ValueError(msg)
