"""The line's one HTTP endpoint: ``/metrics``, ``/healthz``, ``/readyz``."""

import errno
import io
import json
import socket
import ssl
import sys
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Event, Thread
from typing import Any, Final

import structlog

from streamline.errors import InputError
from streamline.metrics.exporter import Exporter
from streamline.run.supervision.access import Access
from streamline.run.supervision.callers import Callers
from streamline.run.supervision.health import Health

__all__ = ["Endpoint"]

_log = structlog.get_logger("streamline.run")

_PATIENCE_S: Final = 10.0
"""What a client has to ask, and to take the answer."""

_HEAD_BYTES: Final = 1 << 14
"""Longest request: its lines are kept until the last one has come."""

_POLL_S: Final = 0.05
"""How often it looks whether it is to close: a line's end waits for that."""

_SCARCE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Why no connection can be accepted for now, whoever's it is."""

_REFUSAL: Final = (HTTPStatus.UNAUTHORIZED, b"a bearer token is needed\n", "text/plain")


class Endpoint:
    """Serves from threads of its own until closed.

    Parameters
    ----------
    address, port
        Where it listens; port 0: any that is free.
    exporter : Exporter
        Makes the page of figures.
    health : callable
        Says how the line is.
    access : Access
        Who may ask.
    patience_s : float
        What a client has to ask, and to take the answer, s.

    Raises
    ------
    InputError
        If the address can't be listened on.
    """

    def __init__(
        self,
        address: str,
        port: int,
        exporter: Exporter,
        health: Callable[[], Health],
        *,
        access: Access = Access(),  # noqa: B008 - immutable
        patience_s: float = _PATIENCE_S,
    ) -> None:
        handler = partial(_Handler, exporter, health, access)
        try:
            self._server = _Server(address, port, handler, Callers(patience_s))
        except OSError as exc:
            msg = (
                f"metrics: can't listen on {address} port {port} ({exc.strerror}); "
                "set metrics.port to a free one, 0 for any"
            )
            raise InputError(msg) from exc
        self._scheme = "http" if access.tls is None else "https"
        if access.tls is not None:
            # Each client's own thread shakes hands with it: who is slow holds nobody else up.
            self._server.socket = access.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="http", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is, with the port that it got."""
        host, port = self._server.server_address[:2]
        host = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"{self._scheme}://{host}:{port}"

    def close(self) -> None:
        """Stop serving; a request that is still being answered hears that this is the end."""
        self._server.has_ended = True
        self._server.shutdown()
        self._server.server_close()
        # Whoever follows on this port has their next requests.
        self._server.callers.dismiss()
        self._thread.join(timeout=2)


class _Server(ThreadingHTTPServer):
    """One thread a client; says nothing about those that go away."""

    daemon_threads = True
    # Daemon threads are not waited for: a client that never ends must not hold the line up.
    block_on_close = False
    # Of connections that wait to be accepted: where they are few, others' are refused meanwhile.
    request_queue_size = 128

    def __init__(
        self,
        address: str,
        port: int,
        handler: Callable[..., BaseHTTPRequestHandler],
        callers: Callers,
    ) -> None:
        if ":" in address:
            self.address_family = socket.AF_INET6
        self.callers = callers
        self.has_ended = False
        self._told = False
        super().__init__((address, port), handler)

    def server_bind(self) -> None:
        """Bind without looking the host's name up, which may take long and nobody needs."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def service_actions(self) -> None:
        """Look after each connection, and a few times a second, who has had his time."""
        self.callers.sweep()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Serve one more client."""
        if self.callers.come(request, client_address[0]):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - socketserver's
        """Close a connection."""
        self.callers.leave(request)
        super().shutdown_request(request)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; where none can be, not again at once: it waits at the door."""
        try:
            return super().get_request()
        except OSError as exc:
            if exc.errno in _SCARCE:
                Event().wait(_POLL_S)
            raise

    def handle_error(self, request: Any, _address: object) -> None:  # noqa: ANN401 - socketserver's
        """Tell of a failure once; a request that broke off is its client's business."""
        exc = sys.exception()
        broke_off = isinstance(exc, ConnectionError | TimeoutError | ssl.SSLError)
        if self._told or broke_off or self.callers.is_sent_away(request):
            return
        self._told = True
        _log.error("request failed; told once", exc_info=exc)


class _Heads(io.BufferedReader):
    """Reads requests, each up to a length."""

    left = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return a line.

        Raises
        ------
        LineTooLong
            If the request is.
        """
        del size  # The standard library's own limit is of each line.
        line = super().readline(self.left + 1)
        self.left -= len(line)
        if self.left < 0:
            name = "head"
            raise LineTooLong(name)
        return line


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD on three paths."""

    server_version = "streamline"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    # For those whom nobody looks after any more, since the endpoint is closed.
    timeout = _PATIENCE_S
    server: _Server
    rfile: _Heads

    def __init__(
        self,
        exporter: Exporter,
        health: Callable[[], Health],
        access: Access,
        *args: Any,  # noqa: ANN401 - socketserver's
    ) -> None:
        self._exporter = exporter
        self._health = health
        self._access = access
        super().__init__(*args)

    def setup(self) -> None:
        """Bound what is read."""
        super().setup()
        self.rfile = _Heads(self.rfile.detach())

    def handle_one_request(self) -> None:
        """Read a request and answer it; hang up on one whose first line never ends."""
        self.rfile.left = _HEAD_BYTES
        try:
            super().handle_one_request()
        except LineTooLong:
            self.close_connection = True

    def do_GET(self) -> None:
        """Answer."""
        admitted = self._access.admits(self.headers.get("Authorization", ""))
        if admitted:
            self.server.callers.hear(self.request)
        status, body, kind = self._answer() if admitted else _REFUSAL
        # Looked at after that: the counters of a line that has ended are not there any more, and a
        # page without them would tell a scraper that they are gone.
        if has_ended := self.server.has_ended:
            status, body, kind = 503, b"the line has ended\n", "text/plain"
        self.close_connection |= has_ended or not admitted
        self._send(status, body, kind)
        if admitted:
            self.server.callers.hear(self.request)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing: a scrape every few seconds is no event."""

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        if self.close_connection:
            self.send_header("Connection", "close")
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _answer(self) -> tuple[int, bytes, str]:
        """Return status, body and its type."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            return 200, *self._exporter.render(self.headers.get("Accept", ""))
        if path in {"/healthz", "/readyz"}:
            health = self._health()
            good = health.healthy if path == "/healthz" else health.ready
            body = json.dumps(health.body, indent=2).encode() + b"\n"
            return 200 if good else 503, body, "application/json"
        return 404, b"try /metrics, /healthz or /readyz\n", "text/plain"
