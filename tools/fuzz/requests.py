"""HTTP requests to real endpoints, open and locked, over sockets."""

import random
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from threading import Event, Thread
from typing import Final

from structlog.testing import capture_logs

from streamline.config import Metrics
from streamline.ledger import Ledger
from streamline.metrics.exporter import Exporter, FrameRates
from streamline.run.supervision.access import Access
from streamline.run.supervision.health import Health
from streamline.run.supervision.http import Endpoint
from tests.support.certificates import make_certificate
from tools.fuzz.mutation import mutated
from tools.fuzz.tally import Tally

__all__ = ["fuzz_requests"]

_TOKEN: Final = "f1e2d3c4b5a697887f6e5d4c3b2a1908"  # noqa: S105 - of this tool alone
_BEARER: Final = f"\r\nAuthorization: Bearer {_TOKEN}\r\n".encode()
_FIGURE: Final = b"streamline_alerts_total"

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
_TRIES: Final = 3

_SLOW: Final = 40
"""Clients who send a byte of a request now and then, all the time: more than are served."""

_BYTE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class _Site:
    endpoint: Endpoint
    trust: ssl.SSLContext | None = None
    """Whom its clients trust; None: they speak without TLS, and need no token."""

    def connection(self) -> socket.socket:
        """Connect, by TLS where it is spoken there."""
        plain = self.plain_connection()
        if self.trust is None:
            return plain
        return self.trust.wrap_socket(plain, server_hostname="127.0.0.1")

    def plain_connection(self) -> socket.socket:
        """Connect, and shake no hands."""
        port = int(self.endpoint.url.rpartition(":")[2])
        return socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S)


def fuzz_requests(count: int, seed: int, folder: Path) -> Tally:
    """Send mutated requests, each over a connection of its own, and see that others are served.

    Half of them go to an endpoint for everybody, half to one by TLS and with a token.
    """
    chance = random.Random(seed)  # noqa: S311 - the same again from one seed
    certificate, key = make_certificate(folder)
    (folder / "token").write_text(_TOKEN)
    locked = Metrics(certificate_file=certificate, key_file=key, token_file=folder / "token")
    trust = ssl.create_default_context(cafile=certificate)
    with capture_logs() as told, Tally("HTTP requests").measured() as tally:
        with _served(Access()) as endpoint:
            _feed(_Site(endpoint), count - count // 2, chance, tally)
        with _served(Access.of(locked)) as endpoint:
            _feed(_Site(endpoint, trust), count // 2, chance, tally)
    for entry in told:
        if "exc_info" in entry:
            tally.fail(f"the log says: {entry['event']}: {entry['exc_info']!r}")
    return tally


@contextmanager
def _served(access: Access) -> Iterator[Endpoint]:
    ledger = Ledger()
    ledger.counter("streamline_alerts_total", camera="left").add(2)
    health = Health(healthy=True, ready=True, judged=True, stuck=(), body={})
    exporter = Exporter(ledger.samples, FrameRates(), {})
    with closing(Endpoint("127.0.0.1", 0, exporter, lambda: health, access=access)) as endpoint:
        yield endpoint


def _feed(site: _Site, count: int, chance: random.Random, tally: Tally) -> None:
    with _slow_clients(site):
        for number in range(count):
            request = chance.choice(_SOUND)
            if chance.random() < 0.5:
                request = request.replace(b"\r\n", _BEARER, 1)
            request = mutated(request, chance)
            by_tls = chance.random() < 0.8
            tally.feed(
                lambda: _ask(site, request, by_tls=by_tls),  # noqa: B023
                (_RefusedError,),
                f"request {number} of {site.endpoint.url}",
            )
            if number % 100 == 99:
                tally.feed(lambda: _is_served(site), (), f"served after {number}")


@contextmanager
def _slow_clients(site: _Site) -> Iterator[None]:
    """Keep clients there that never come to the end of a request, or of a handshake."""
    ended = Event()

    def trickle() -> None:
        with ExitStack() as stack:
            clients = [stack.enter_context(closing(_Slow(site))) for _ in range(_SLOW)]
            while not ended.wait(_BYTE_S):
                for client in clients:
                    client.goes_on()

    thread = Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _Slow:
    """One that sends a byte now and then, and comes again when it is hung up on."""

    _BEGINS: Final = b"GET /metrics HTTP/1.1\r\nX: "
    _SHAKES_HANDS: Final = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03"

    def __init__(self, site: _Site) -> None:
        self._site = site
        self._connection = self._connected()

    def _connected(self) -> socket.socket:
        connection = self._site.plain_connection()
        with suppress(OSError):
            connection.sendall(self._BEGINS if self._site.trust is None else self._SHAKES_HANDS)
        return connection

    def goes_on(self) -> None:
        try:
            self._connection.sendall(b"x")
        except OSError:
            self._connection.close()
            self._connection = self._connected()

    def close(self) -> None:
        self._connection.close()


class _RefusedError(Exception):
    """The answer was one that refuses, or none."""


def _ask(site: _Site, request: bytes, *, by_tls: bool) -> None:
    """Send bytes and read to the end of what comes back."""
    answer = b""
    with (
        suppress(ConnectionError, ssl.SSLError),  # It may hang up: that is an answer too.
        site.connection() if by_tls else site.plain_connection() as connection,
    ):
        with suppress(OSError):  # It may do so before it has heard all, and have said why.
            connection.sendall(request)
            # TLS is passed by: what comes back is still to be decrypted.
            socket.socket.shutdown(connection, socket.SHUT_WR)
        while data := connection.recv(1 << 16):
            answer += data
    if b"Traceback" in answer:
        msg = f"a traceback in the answer: {answer[:200]!r}"
        raise ValueError(msg)
    if site.trust is not None and _FIGURE in answer and _TOKEN.encode() not in request:
        msg = "figures for one without the token"
        raise ValueError(msg)
    if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
        raise _RefusedError


def _is_served(site: _Site) -> None:
    """Ask as a scraper does, again where there was no answer: so many push one another out."""
    for _ in range(_TRIES - 1):
        with suppress(OSError, HTTPException):
            _ask_for_figures(site)
            return
    _ask_for_figures(site)


def _ask_for_figures(site: _Site) -> None:
    bearer = {"Authorization": f"Bearer {_TOKEN}"}
    asked = urllib.request.Request(f"{site.endpoint.url}/metrics", headers=bearer)  # noqa: S310 - ours
    with urllib.request.urlopen(asked, timeout=_ANSWER_S, context=site.trust) as answer:  # noqa: S310 - ours
        if _FIGURE not in answer.read():
            msg = "the figures are not served any more"
            raise ValueError(msg)
